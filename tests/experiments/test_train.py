"""The training loop on noise: resuming, stopping, logging, refusals. No data set, no TensorFlow."""

import itertools
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import jax
import pytest

from cerberus_jax import checkpoint
from experiments import train
from experiments.training import loop, one_run, prefetch
from experiments.training.metric_log import MetricLog, read_metrics
from tests import ROOT
from tests.tiny_network import noise_batch
from tests.tiny_training import assert_same_run, batches, run_training, tiny_config
from tests.waiting import ReadersClock


@pytest.fixture(scope="module")
def through(tmp_path_factory):
    """A run of eight steps without a stop."""
    folder = tmp_path_factory.mktemp("through")
    run_training(folder, train__num_steps=8)
    return folder


def test_it_logs_validates_and_saves(through):
    entries = read_metrics(through)
    assert [entry["step"] for entry in entries] == list(range(1, 9))
    assert [e["step"] for e in entries if "validation_loss" in e] == [3, 6, 8]
    assert {"loss", "deep_clustering", "mask_inference", "transcription"} <= set(entries[0])
    assert entries[-1]["time"]["examples_per_second"] > 0
    assert checkpoint.saved_steps(through)["last"] == 8


def test_a_run_stopped_at_step_5_and_continued_equals_one_that_ran_through(through, tmp_path):
    run_training(tmp_path, train__num_steps=5)
    assert [e["step"] for e in read_metrics(tmp_path) if "validation_loss" in e] == [3, 5]
    run_training(tmp_path, train__num_steps=8)
    assert_same_run(through, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_the_run_goes_on_the_same(
    through, tmp_path, monkeypatch, number
):
    write = MetricLog.write

    def interrupted(log, step, values):
        if step == 5:
            os.kill(os.getpid(), number)
        write(log, step, values)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MetricLog, "write", interrupted)
        run_training(tmp_path, train__num_steps=8)
    assert checkpoint.saved_steps(tmp_path)["last"] == 5
    run_training(tmp_path, train__num_steps=8)
    assert_same_run(through, tmp_path)


def test_batches_are_read_ahead_but_no_more_than_needed(tmp_path):
    read = []
    batches = (read.append(len(read)) or noise_batch(4) for _ in itertools.count())
    run_training(tmp_path, batches, train__num_steps=3)
    assert len(read) == 3


def test_the_log_says_how_long_the_loop_waited_for_batches(tmp_path, monkeypatch):
    """A reader far slower than the step, then one that has read all beforehand."""
    batches = [noise_batch(4)] * 6
    waited = {}
    for name in ("slow", "fast"):
        clock, seconds = ReadersClock(), itertools.count()
        loops = SimpleNamespace(monotonic=lambda c=clock, s=seconds: c.now + next(s))
        monkeypatch.setattr(prefetch, "time", clock)
        monkeypatch.setattr(loop, "time", loops)
        # The first batch is read before the loop, and nobody waits for it.
        following = clock.slow(batches[1:], seconds=9.0) if name == "slow" else batches[1:]
        run_training(
            tmp_path / name,
            itertools.chain(batches[:1], following),
            train__num_steps=6,
            train__eval_every=6,
        )
        entry = read_metrics(tmp_path / name)[4]  # no validation, no checkpoint before it
        waited[name] = entry["time"]["input_wait_percent"]
    assert waited == {"slow": 90, "fast": 0}


def test_the_pace_is_that_of_training_alone(tmp_path, monkeypatch):
    """A second per step, beside validations of 100 s and checkpoints of 1000 s."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def lasting(seconds, function):
        def timed(*args, **kwargs):
            clock.now += seconds
            return function(*args, **kwargs)

        return timed

    for owner, name, seconds in (
        (loop.Loop, "update", 1),
        (one_run.Run, "_validate", 100),
        (checkpoint.CheckpointWriter, "save", 1000),
    ):
        monkeypatch.setattr(owner, name, lasting(seconds, getattr(owner, name)))
    schedule = {"log_every": 4, "eval_every": 3, "checkpoint_every": 5}
    run_training(tmp_path, train__num_steps=14, **{f"train__{k}": v for k, v in schedule.items()})
    entries = read_metrics(tmp_path)
    assert [entry["step"] for entry in entries] == [3, 4, 6, 8, 9, 12, 14]
    assert [entry["time"]["seconds_per_step"] for entry in entries] == [1] * 7


def test_steps_between_two_lines_of_the_log_fetch_nothing(tmp_path, monkeypatch):
    """Fetching a value waits for its step, and the devices would wait for the next."""
    fetched = []
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: fetched.append(tree) or get(tree))
    schedule = {"log_every": 4, "eval_every": 8, "checkpoint_every": 8}
    run_training(tmp_path, train__num_steps=8, **{f"train__{k}": v for k, v in schedule.items()})
    assert len(fetched) == 2


def test_a_killed_run_goes_on_from_its_last_checkpoint(through, tmp_path):
    """Lines logged after the last checkpoint are dropped and written anew."""

    def broken():
        yield from itertools.islice(batches(), 7)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        run_training(tmp_path, broken(), train__num_steps=8)
    assert train.start_step(tmp_path) == 5
    assert read_metrics(tmp_path)[-1]["step"] == 7
    run_training(tmp_path, train__num_steps=8)
    assert_same_run(through, tmp_path)


def test_a_run_that_ends_at_its_line_of_the_log_lacks_no_line(through, tmp_path, monkeypatch):
    """At a step with a checkpoint: were that saved before the line, the line would be lost."""
    write = MetricLog.write

    def broken(log, step, values):
        if step == 5:
            raise OSError("the disk is gone")
        write(log, step, values)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is gone"):
        patch.setattr(MetricLog, "write", broken)
        run_training(tmp_path, train__num_steps=8)
    run_training(tmp_path, train__num_steps=8)
    assert_same_run(through, tmp_path)


def test_a_finished_run_does_nothing(through):
    before = (through / "metrics.jsonl").read_bytes()
    assert run_training(through, iter(()), train__num_steps=8) == {"step": 8}
    assert (through / "metrics.jsonl").read_bytes() == before


def test_best_is_the_step_with_the_lowest_validation_loss(through):
    entries = [e for e in read_metrics(through) if "validation_loss" in e]
    best = min(entries, key=lambda e: e["validation_loss"])
    assert checkpoint.saved_steps(through)["best"] == best["step"]


def test_batches_that_end_early_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"batches: ended at step 2, before train\.num_steps"):
        run_training(tmp_path, itertools.islice(batches(), 2), train__num_steps=4)


def test_a_long_run_says_so_once_and_early(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "LONG_RUN_SECONDS", 0)
    config = tiny_config(train__num_steps=14, train__log_every=14)
    train.train(config, batches(), workdir=tmp_path)
    shown = capsys.readouterr()
    assert shown.out.count("--config=sets/demo.py") == 1


def test_a_short_run_says_nothing(through, tmp_path, capsys):
    train.train(tiny_config(train__num_steps=8), batches(), workdir=tmp_path)
    assert "sets/demo.py" not in capsys.readouterr().out


def test_microbatches_are_of_the_batch_of_a_device():
    sizes = lambda n, **c: train.task_of(tiny_config(**c), num_devices=n).microbatch_size  # noqa: E731
    assert sizes(1, batch_size=12, loss__microbatch_size=5) == 4
    assert sizes(4, batch_size=12, loss__microbatch_size=5) == 3
    assert sizes(1, batch_size=17, loss__microbatch_size=4) == 4


def test_what_suits_the_devices_goes_by_their_platform():
    sizes = {
        p: train.task_of(tiny_config(batch_size=32, excerpt_seconds=0.8), platform=p)
        for p in ("cpu", "tpu")
    }
    assert {name: task.microbatch_size for name, task in sizes.items()} == {"cpu": 1, "tpu": 16}


def test_training_loads_no_tensorflow_and_no_evaluation():
    """The benchmark machines have none of them, and TensorFlow takes seconds to import."""
    code = (
        "import sys, experiments.train, experiments.training.data, experiments.separate; "
        "print([m for m in ('tensorflow', 'mir_eval', 'tensorflow_datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.strip().replace("'", '"')) == []
