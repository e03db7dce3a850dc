"""Out of memory is one line with the settings that help; other errors stay as they are."""

import numpy as np
import pytest

from experiments import run
from experiments.runtime.out_of_memory import memory_advice


def numpy_array():
    return np.empty((2**20, 2**20, 2**10))


def xla_buffer():
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 274877906944 bytes.")


@pytest.mark.parametrize("allocate", [numpy_array, xla_buffer])
def test_the_settings_are_named(allocate):
    with pytest.raises(ValueError, match="out of memory") as raised, memory_advice():
        allocate()
    message = str(raised.value)
    for field in ("batch_size", "loss.microbatch_size", "excerpt_seconds", "model.precision"):
        assert f"--config.{field}" in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_other_errors_stay(kind):
    with pytest.raises(kind, match=r"^batch_size$"), memory_advice():
        raise kind("batch_size")


def test_training_gives_the_advice(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "_train_and_tune", lambda *_: xla_buffer())
    monkeypatch.setattr(run, "keep_compiled", lambda: None)
    assert run.main(["--config=sets/set1.py", f"--workdir={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: out of memory") and error.count("\n") == 1
