"""The race, with sides that do next to nothing, and one that fails."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks import race
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import SMALL
from tests import ROOT

MESSAGES = []


def side(name, factory="steady", **settings) -> Side:
    return Side(name, f"tests.benchmarks.trivial_sides:{factory}", settings)


def held(*sides, rounds=2, **more) -> list[SideResult]:
    say = MESSAGES.append
    MESSAGES.clear()
    return race.race(sides, SMALL, "train", rounds=rounds, quiet_seconds=0, say=say, **more)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[SideResult]:
    log = str(tmp_path_factory.mktemp("race") / "log")
    return held(
        side("short", seconds=0.01, log=log),
        side("broken", "broken"),
        side("long", seconds=0.05, log=log),
        side("breaks later", "breaks_later"),
        side("log", "log", log=log),
    )


def test_sides_are_measured(results):
    short, _, long, _, _ = results
    for result, seconds in ((short, 0.01), (long, 0.05)):
        assert result.error is None
        assert len(result.seconds) == len(result.cpu_seconds) == len(result.disturbance) == 2
        assert min(result.seconds) >= seconds <= result.first_call_seconds
        assert result.peak_mb > 1
        assert result.device_peak_mb is None
        assert result.values == [SMALL.batch_size] * 2
        assert result.versions["python"].startswith(f"3.{sys.version_info.minor}")
    assert race.times_faster(short, long) > 1
    assert race.times_faster(long, short) == pytest.approx(1 / race.times_faster(short, long))


def test_the_order_is_reversed_every_round(results):
    turns = Path(results[0].side.settings["log"]).read_text().split()
    # Two calls of each while preparing, then a turn of each in both rounds.
    assert turns == ["0.01"] * 2 + ["0.05"] * 2 + ["0.01", "0.05", "0.05", "0.01"]


def test_a_side_that_fails_says_why_and_the_others_go_on(results):
    _, broken, _, later, _ = results
    assert "code 1" in broken.error
    assert "ValueError: no such thing" in broken.error
    assert broken.seconds == []
    assert "RuntimeError: out of luck" in later.error
    assert later.first_call_seconds is not None


def test_what_a_side_prints_is_no_answer(results):
    assert results[4].error is None


def test_messages_name_the_side():
    held(side("broken", "broken"), side("good"), rounds=1, together=True)
    assert MESSAGES[0] == "broken: failed: ValueError: no such thing"
    assert MESSAGES[1].startswith("good: ready")


def test_a_turn_of_several_calls_reports_one():
    (result,) = held(side("short", seconds=0.02), rounds=1, repeat=3)
    assert 0.02 <= result.seconds[0] < 3 * 0.02


def test_a_python_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="no-python"):
        race.race(
            [Side("none", "tests.benchmarks.trivial_sides:steady", python="no-python")],
            SMALL,
            "train",
            rounds=1,
            quiet_seconds=0,
        )


def test_ctrl_c_ends_the_workers(tmp_path):
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from experiments.benchmarks import race
from experiments.benchmarks.workload import SMALL
target = "tests.benchmarks.trivial_sides:forever"
side = race.Side("slow", target, {{"file": {str(tmp_path / "pid")!r}}})
race.race([side], SMALL, "train", rounds=1, quiet_seconds=0)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        worker = _wait_for(tmp_path / "pid")
        parent.send_signal(race.signal.SIGINT)
        assert "KeyboardInterrupt" in parent.communicate(timeout=60)[1]
    assert not Path(f"/proc/{worker}").exists()


def _wait_for(file) -> int:
    """The number in a file that is about to be written."""
    for _ in range(600):
        if file.exists() and file.read_text().endswith("\n"):
            return int(file.read_text())
        race.time.sleep(0.05)
    raise AssertionError(f"{file} was never written")


def measured(seconds, disturbance) -> SideResult:
    return SideResult(side("x"), seconds, [2 * s for s in seconds], disturbance)


def test_disturbed_rounds_do_not_count():
    result = measured([1.0, 9.0, 3.0], [0.0, 0.5, 0.05])
    assert (result.clean, result.median, result.median_cpu) == ([0, 2], 2.0, 4.0)


def test_where_all_rounds_are_disturbed_all_count():
    assert measured([1.0, 9.0, 3.0], [0.2, 0.5, 0.9]).median == 3.0


def test_ratios_by_round_take_rounds_clean_for_both():
    ours = measured([1.0, 2.0, 4.0], [0.0, 0.0, 0.9])
    theirs = measured([3.0, 8.0, 1.0], [0.0, 0.0, 0.0])
    assert race.times_faster_by_round(ours, theirs) == statistics.median([3.0, 4.0])
    assert race.times_faster(ours, theirs) == 3.0 / 1.5
    apart = measured([1.0, 1.0, 1.0], [0.9, 0.9, 0.0])
    assert race.times_faster_by_round(ours, apart) is None


def test_waiting_for_quiet_has_an_end():
    assert race.wait_for_quiet(0) is False
    assert race.busy_seconds() >= 0


@pytest.mark.parametrize("module", ["race", "race_worker", "workload"])
def test_a_side_needs_no_more_than_its_own_modules(module):
    code = f"import experiments.benchmarks.{module}, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not {"jax", "torch", "absl", "jaxtyping", "flax"} & set(run.stdout.split())
