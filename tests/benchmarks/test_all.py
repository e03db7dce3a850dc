"""The whole set of benchmarks in one command, also where TensorFlow and the like are absent."""

import json
import os
import subprocess
import sys

import pytest

from experiments.benchmarks import all as all_benchmarks
from experiments.benchmarks import memory
from experiments.benchmarks.result import Result
from tests import ROOT
from tests.benchmarks.test_command import MACHINE

ABSENT = ("tensorflow", "tensorflow_datasets", "ml_collections", "mir_eval", "soxr", "soundfile")
# Python imports a module of this name by itself when it starts.
BLOCKER = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_the_set_runs_where_those_packages_are_absent(tmp_path):
    """Every benchmark of the set at a tiny size, from end to end."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    env = os.environ | {"PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    probe = subprocess.run([sys.executable, "-c", "import mir_eval"], env=env, capture_output=True)
    assert b"No module named 'mir_eval'" in probe.stderr
    out = tmp_path / "results"
    command = [sys.executable, "-m", "experiments.benchmarks.all", "--small", f"--out={out}"]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-4000:]
    report = (out / all_benchmarks.REPORT).read_text()
    for name, figure in {
        "train_step": "examples_per_second",
        "inference": "times_real_time",
        "recurrence": "step_microseconds",
        "scaling": "of_linear",
        "memory": "temporary_mb",
    }.items():
        result = json.loads((out / f"{name}.json").read_text())
        # PyTorch, where it is installed, imports TensorFlow where that is: blocked, its sides fail.
        own = [row for row in result["rows"] if row["side"].startswith("cerberus_jax")]
        assert own and all(row[figure] > 0 for row in own), name
        if name != "memory":  # which takes no times
            assert all(0 < row["roofline_percent"] < 100 for row in own), name
        assert f"## {name}\n\n{name}: {result['machine']['device']}" in report
    assert [path.name for path in out.glob("*.md")] == [all_benchmarks.REPORT]


@pytest.fixture
def pretended(monkeypatch):
    """The machine is known, and `behave` says what a benchmark does in place of running."""
    monkeypatch.setattr(all_benchmarks.machine, "measure", lambda *_, **__: MACHINE)

    def behave(function):
        monkeypatch.setattr(all_benchmarks, "run_one", function)

    return behave


def test_after_a_benchmark_that_fails_the_others_go_on(pretended, tmp_path, capsys):
    ran = []

    def run_one(name, flags, seconds):
        ran.append(name)
        if name == "inference":
            return "ValueError: out of memory"
        rows = [{"side": "cerberus_jax"}]
        Result(name, MACHINE, {"side": ("side", "")}, {}, rows).save(f"{flags.out}/{name}.json")
        return "see what it printed" if name == "memory" else ""

    pretended(run_one)
    assert all_benchmarks.main([f"--out={tmp_path}"]) == 1
    assert ran == list(all_benchmarks.SHARES)
    assert "2 of 5 benchmarks failed: inference, memory" in capsys.readouterr().err
    report = (tmp_path / all_benchmarks.REPORT).read_text()
    assert "## inference\n\nFailed: ValueError: out of memory\n" in report
    assert "## memory\n\nFailed: see what it printed\n\nmemory: a processor" in report
    assert "## scaling\n\nscaling: a processor" in report


def test_each_gets_its_share_of_the_time_that_is_left(pretended, tmp_path):
    limits = {}

    def run_one(name, flags, seconds):
        limits[name] = seconds
        return ""

    pretended(run_one)
    all_benchmarks.main([f"--out={tmp_path}", "--minutes=10", "--only=train_step,memory"])
    shares = all_benchmarks.SHARES
    expected = 600 * shares["train_step"] / (shares["train_step"] + shares["memory"])
    assert limits["train_step"] == pytest.approx(expected, abs=5)
    assert limits["memory"] == pytest.approx(600, abs=5)


def test_the_reason_of_a_failure(pretended, monkeypatch, tmp_path):
    def broken(argv):
        assert "--device=cpu" in argv and f"--out={tmp_path}/memory.json" in argv
        raise TypeError("not like this")

    monkeypatch.setattr(memory, "main", broken)
    assert all_benchmarks.main([f"--out={tmp_path}", "--only=memory"]) == 1
    report = (tmp_path / all_benchmarks.REPORT).read_text()
    assert "Failed: TypeError: not like this" in report


def test_ctrl_c_stops_the_whole_set(pretended, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "main", lambda argv: 130)
    assert all_benchmarks.main([f"--out={tmp_path}", "--only=memory,scaling"]) == 130
    assert not (tmp_path / "scaling.json").exists()


def test_without_time_nothing_is_compiled_and_the_command_says_so(capsys):
    assert memory.main(["--small", "--budget=0.00001"]) == 1
    printed = capsys.readouterr()
    assert "* float32: silent for 0 s" in printed.out
    assert "nothing was compiled: float32: silent for 0 s" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device=tpu"], "--device=tpu: value should be one of <cpu|gpu>"),
        (["--minutes=0"], "minutes: a positive number of minutes expected, got 0"),
        (["--minutes=nan"], "minutes: a positive number of minutes expected, got nan"),
        (["--minutes=soon"], "--minutes=soon"),
        (["--only=train_step,speed"], "only: among train_step, inference, recurrence, scaling"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    assert all_benchmarks.main([*arguments, f"--out={tmp_path}"]) == 1
    assert message in capsys.readouterr().err
