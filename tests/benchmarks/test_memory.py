"""The benchmark of memory: what is compiled for the parts of a batch, and for microbatches."""

import dataclasses
import json
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from experiments.benchmarks import memory, ours
from experiments.benchmarks.workload import SMALL

MICROBATCH_MB, REST_MB = 10, 2


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """The rows of the command. Nothing is compiled: a step takes so much for each excerpt of a
    microbatch, and so much beside that."""

    def compiled_step(work, *, microbatch_size, accumulation_steps, precision):
        assert work.batch_size // accumulation_steps % microbatch_size == 0
        size = 1e6 * (MICROBATCH_MB * microbatch_size + REST_MB)
        return SimpleNamespace(memory_analysis=lambda: Analysis(size)), None, None

    def answers(function, *, environment, limit_seconds, **arguments):
        return getattr(memory, function.partition(":")[2])(**arguments)

    def call(*flags):
        out = tmp_path / "figures.json"
        assert memory.main(["--small", f"--out={out}", *flags]) == 0
        return json.loads(out.read_text())["rows"]

    monkeypatch.setattr(memory, "answers", answers)
    monkeypatch.setattr(ours, "compiled_step", compiled_step)
    return call


class Analysis(NamedTuple):
    """What XLA says of a step."""

    temp_size_in_bytes: float


def _figures(rows):
    names = ("batch", "parts", "microbatch_size", "temporary_mb", "share")
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("microbatch", [1, 2])
def test_parts_have_the_microbatches_that_are_asked_for_and_fit(measured, microbatch):
    rows = measured("--batch=8", "--parts=1,2,8", f"--microbatch={microbatch}")
    sizes = {1: microbatch, 2: microbatch, 8: 1}
    megabytes = {k: MICROBATCH_MB * size + REST_MB for k, size in sizes.items()}
    expected = [
        (8, k, size, megabytes[k], megabytes[k] / megabytes[1]) for k, size in sizes.items()
    ]
    assert _figures(rows) == expected


def test_parts_have_the_microbatches_of_training_by_default(measured):
    work = dataclasses.replace(SMALL, batch_size=8)
    rows = measured("--batch=8", "--parts=1,4")
    sizes = {k: ours.task(work, accumulation_steps=k).microbatch_size for k in (1, 4)}
    assert {row["parts"]: row["microbatch_size"] for row in rows} == sizes
    assert sizes[1] > 1


def test_without_parts_microbatches_of_every_batch_are_compared(measured):
    rows = measured("--batch=2,4")
    assert [row["parts"] for row in rows] == [1] * len(rows)
    for batch in (2, 4):
        of_batch = [row for row in rows if row["batch"] == batch]
        sizes = [row["microbatch_size"] for row in of_batch]
        assert (sizes[0], sizes[-1]) == (batch, 1) and sizes == sorted(sizes, reverse=True)
        assert of_batch[0]["share"] == 1


@pytest.mark.parametrize("flag", ["--parts=0", "--batch=two"])
def test_wrong_numbers_are_refused(capsys, flag):
    assert memory.main(["--small", flag]) == 1
    name, _, value = flag.removeprefix("--").partition("=")
    message = f"{name}: positive whole numbers expected, e.g. 8,16, got '{value}'"
    assert message in capsys.readouterr().err
