"""The race, with sides that do next to nothing, and some that fail."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.benchmarks import race as racing
from experiments.benchmarks import worker
from experiments.benchmarks.race import Side, SideResult, race
from experiments.benchmarks.workload import SMALL
from tests import ROOT
from tests.waiting import MAX_SECONDS, wait_for


def side(name, factory="steady", **settings) -> Side:
    return Side(name, f"tests.benchmarks.fake_sides:{factory}", SMALL, "train", settings)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[SideResult]:
    log = str(tmp_path_factory.mktemp("race") / "log")
    sides = [
        side("short", seconds=0.01, log=log),
        side("broken", "broken"),
        side("long", seconds=0.05, log=log),
        side("breaks later", "breaks_later"),
        side("infinite", "infinite"),
    ]
    return race(sides, rounds=2)


def test_sides_are_measured_in_processes_of_their_own(results):
    for result, seconds in ((results[0], 0.01), (results[2], 0.05)):
        assert result.error is None
        assert len(result.seconds) == len(result.cpu_seconds) == 2
        assert min(result.seconds) >= seconds <= result.ready_seconds
        assert 1 < result.peak_mb < 200  # no JAX in it
        row = result.row()
        assert (row["side"], row["minimum"]) == (result.side.name, min(result.seconds))
        assert row["median"] == pytest.approx(sum(result.seconds) / 2)


def test_the_order_is_reversed_every_round(results):
    calls = Path(results[0].side.settings["log"]).read_text().split()
    # Two calls of each while it gets ready, then a turn of each in both rounds.
    assert calls == ["0.01"] * 2 + ["0.05"] * 2 + ["0.01", "0.05", "0.05", "0.01"]


def test_a_side_that_fails_says_why_and_the_others_go_on(results):
    _, broken, _, later, infinite = results
    assert "code 1" in broken.error
    assert "ValueError: no such thing" in broken.error
    assert "median" not in broken.row()
    assert "RuntimeError: out of luck" in later.error
    assert later.ready_seconds is not None
    assert "a finite number expected, it computed inf" in infinite.error


def test_messages_name_the_side(capsys):
    race([side("broken", "broken"), side("good")], rounds=1, together=True)
    messages = capsys.readouterr().err.splitlines()
    assert messages[0] == "broken: failed: ValueError: no such thing"
    assert messages[1].startswith("good: ready")


def test_a_measurement_of_several_calls_reports_one(monkeypatch):
    calls = []
    clock = SimpleNamespace(
        perf_counter=lambda: 0.5 * len(calls), process_time=lambda: 0.25 * len(calls)
    )
    monkeypatch.setattr(worker, "time", clock)
    measured = worker._measured(lambda: calls.append(1) or 1.0, repeat=3)
    assert len(calls) == 4  # one outside the timing
    assert (measured["seconds"], measured["cpu_seconds"]) == (0.5, 0.25)
    calls.clear()
    worker._measured(lambda: calls.append(1) or 1.0, repeat=50)
    assert len(calls) == 1 + worker.MIN_CALLS  # they take more than a second already


def test_a_side_of_another_checkout(tmp_path):
    package = tmp_path / "experiments" / "benchmarks"
    package.mkdir(parents=True)
    (package / "workload.py").write_text("def Workload(**sizes):\n    return sizes\n")
    ours = "def make(work, mode):\n    return lambda: work['batch_size']\n"
    (package / "ours.py").write_text(ours)
    other = Side("old", "experiments.benchmarks.ours:make", SMALL, "train", tree=tmp_path)
    (result,) = race([other], rounds=1)
    assert result.error is None and len(result.seconds) == 1


def test_a_python_that_is_not_there():
    with pytest.raises(FileNotFoundError, match="no-python"):
        race([Side("none", "a:b", SMALL, "train", python="no-python")], rounds=1)


def test_a_side_that_ends_without_an_error_has_failed_too(capsys):
    gone, quick = race([side("gone", "leaves"), side("quick")], rounds=1)
    assert gone.error == "ended before its turn" and not gone.seconds
    assert quick.error is None and len(quick.seconds) == 1
    assert "gone: failed: ended before its turn" in capsys.readouterr().err


def test_no_second_round_begins_after_the_limit():
    (result,) = race([side("quick")], rounds=5, limit_seconds=0)
    assert result.error is None and len(result.seconds) == 1


def test_a_side_that_is_silent_after_the_limit_has_failed_and_the_others_go_on(monkeypatch):
    """The clock jumps beyond the limit for the turn of the side that hangs, and for it alone."""
    readings = iter([0.0, 0.0, 0.0, 2 * MAX_SECONDS, 0.0])  # start, two sides ready, two turns
    monkeypatch.setattr(racing, "time", SimpleNamespace(monotonic=lambda: next(readings)))
    monkeypatch.setattr(racing, "GRACE_SECONDS", 0.2)
    sides = [side("hangs", "hangs"), side("quick")]
    hung, quick = race(sides, rounds=1, together=True, limit_seconds=MAX_SECONDS)
    assert hung.error.startswith("silent for ")
    assert not hung.seconds and len(quick.seconds) == 1


def test_ctrl_c_ends_the_workers(tmp_path):
    file = tmp_path / "pid"
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from experiments.benchmarks.race import Side, race
from experiments.benchmarks.workload import SMALL
target = "tests.benchmarks.fake_sides:forever"
race([Side("slow", target, SMALL, "train", {{"file": {str(file)!r}}})], rounds=1)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
        parent.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in parent.communicate(timeout=MAX_SECONDS)[1]
    assert not Path(f"/proc/{int(file.read_text())}").exists()


@pytest.mark.parametrize("module", ["race", "workload"])
def test_a_side_needs_no_more_than_its_own_modules(module):
    code = f"import experiments.benchmarks.{module}, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "numpy" in run.stdout.split()
    assert not {"jax", "torch", "absl", "jaxtyping", "flax"} & set(run.stdout.split())
