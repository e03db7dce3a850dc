"""A race within a limit of time, and what benchmarks know of the machine."""

import json
import math
import time

import pytest

from experiments.benchmarks import command, contest, machine, memory, race
from experiments.benchmarks.race import Side
from experiments.benchmarks.workload import SMALL

QUICK = Side("quick", "tests.benchmarks.benchmark_sides:quick")
HANGS = Side("hangs", "tests.benchmarks.benchmark_sides:hangs")


def options(**changes):
    settings = {
        "device": "cpu", "small": True, "rounds": 1, "repeat": 1, "peer_python": "", "torch": None,
        "out": "", "end": math.inf,
    }  # fmt: skip
    return command.Options(**settings | changes)


def test_no_second_round_begins_after_the_limit():
    (found,) = race.race([QUICK], SMALL, "train", rounds=5, quiet_seconds=0, limit_seconds=0)
    assert found.error is None and len(found.seconds) == 1
    (found,) = race.race([QUICK], SMALL, "train", rounds=5, quiet_seconds=0, limit_seconds=60)
    assert len(found.seconds) == 5


def test_a_side_that_is_silent_after_the_limit_has_failed_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(race, "GRACE_SECONDS", 1.0)
    sides = [HANGS, QUICK]
    hung, quick = race.race(
        sides, SMALL, "train", rounds=1, quiet_seconds=0, together=True, limit_seconds=1
    )
    assert hung.error.startswith("silent for 1 s after the end of the race")
    assert not hung.seconds and len(quick.seconds) == 1


def test_a_race_gets_its_part_of_the_time_that_is_left(monkeypatch):
    limits = []
    monkeypatch.setattr(race, "race", lambda *_, limit_seconds, **__: limits.append(limit_seconds))
    contest.hold([QUICK], SMALL, "train", options(end=time.monotonic() + 90), races_left=3)
    contest.hold([QUICK], SMALL, "train", options())
    assert limits == [pytest.approx(30, abs=1), math.inf]


def test_without_time_no_race_is_held():
    (found,) = contest.hold([QUICK], SMALL, "train", options(end=time.monotonic() - 1))
    assert found.error == "not raced: the time (--budget) was up"
    assert contest.failures([found]) == [f"quick, float32, failed: {found.error}"]


def test_the_machine_is_read_from_a_file(tmp_path):
    path = tmp_path / "machine.json"
    assert machine.main(["--small", f"--out={path}"]) == 0
    known = json.loads(path.read_text()) | {"device": "that machine"}
    path.write_text(json.dumps(known))
    assert command.known_machine("cpu", small=True, file=str(path)) == known


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"product_flops": {"tf32": 1}}'])
def test_a_file_that_describes_no_such_machine(text, tmp_path, capsys):
    path = tmp_path / "machine.json"
    path.write_text(text)
    assert memory.main(["--small", f"--machine={path}"]) == 1
    message = "machine: a file made by experiments.benchmarks.machine --device=cpu --out=FILE"
    assert message in capsys.readouterr().err
