"""The whole set of benchmarks in one command, also where TensorFlow and the like are absent."""

import os
import subprocess
import sys

import pytest

from experiments.benchmarks import all as all_benchmarks
from experiments.benchmarks.figures import Figures, read, row, write
from tests import ROOT

MACHINE = {"device": "a machine", "versions": {}, "date": "2026-11-25", "commit": "abc1234"}
ABSENT = ("tensorflow", "tensorflow_datasets", "ml_collections", "mir_eval", "soxr")
# Python imports a module of this name by itself when it starts.
BLOCKER = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def bare(tmp_path):
    """The environment of a machine without those packages."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    env = os.environ | {"PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    probe = subprocess.run([sys.executable, "-c", "import mir_eval"], env=env, capture_output=True)
    assert b"No module named 'mir_eval'" in probe.stderr
    return env


def test_every_benchmark_of_the_set_is_imported_without_those_packages(bare):
    names = ", ".join(f"experiments.benchmarks.{name}" for name in ("all", *all_benchmarks.SHARES))
    command = [sys.executable, "-c", f"import {names}"]
    run = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]


def test_the_set_runs_without_those_packages(bare, tmp_path):
    """The races of three of them; the other two have tests of their own."""
    out, names = tmp_path / "results", ("train_step", "recurrence", "scaling")
    command = [sys.executable, "-m", "experiments.benchmarks.all", "--small", f"--out={out}"]
    command.append(f"--only={','.join(names)}")
    run = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-4000:]
    report = (out / all_benchmarks.REPORT).read_text()
    for name in names:
        rows = read(out / f"{name}.json").rows
        # PyTorch, where it is installed, imports TensorFlow where that is: blocked, its sides fail.
        own = [row for row in rows if not row.get("side", "").startswith("PyTorch")]
        assert own and all(row["median"] > 0 for row in own), name
        assert f"## {name}\n" in report
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

    def run_one(name, options, limit_seconds):
        ran.append(name)
        if name == "inference":
            return "exit code 1\nout of memory\n"
        rows = [
            row(side, unit="s", better="lower", median=None, samples=samples, side=side)
            for side, samples in (
                ("PyTorch", [1.0]),
                ("cerberus_jax", [] if name == "memory" else [1.0]),
            )
        ]
        notes = ["this side failed"] if name == "memory" else []
        write(Figures(name, MACHINE, {}, rows, notes=notes), tmp_path / f"{name}.json")
        return None

    pretended(run_one)
    assert all_benchmarks.main([f"--out={tmp_path}"]) == 1
    assert ran == list(all_benchmarks.SHARES)
    assert "2 of 5 benchmarks failed: inference, memory" in capsys.readouterr().err
    report = (tmp_path / all_benchmarks.REPORT).read_text()
    assert "## inference\n\nFailed: exit code 1\nout of memory\n" in report
    failure = "Failed: nothing was measured of cerberus_jax\nthis side failed"
    assert f"## memory\n\n{failure}\n\nmemory: a machine" in report
    assert "## scaling\n\nscaling: a machine" in report


def test_each_gets_its_share_of_the_time_that_is_left(pretended, tmp_path):
    limits = {}

    def run_one(name, options, limit_seconds):
        limits[name] = limit_seconds - all_benchmarks.GRACE_SECONDS
        return "not run"

    pretended(run_one)
    all_benchmarks.main([f"--out={tmp_path}", "--minutes=10", "--only=train_step,memory"])
    shares = all_benchmarks.SHARES
    expected = 600 * shares["train_step"] / (shares["train_step"] + shares["memory"])
    assert limits["train_step"] == pytest.approx(expected, abs=5)
    assert limits["memory"] == pytest.approx(600, abs=5)


def test_a_benchmark_that_fails_says_why():
    error = all_benchmarks.run_one("compare", [], 60)
    assert error.startswith("exit code 1\nerror: two result files or folders expected")


def test_a_benchmark_that_hangs_is_stopped(monkeypatch, tmp_path):
    package = tmp_path / "experiments" / "benchmarks"
    package.mkdir(parents=True)
    (package / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    fake = package / "all.py"
    monkeypatch.setattr(all_benchmarks, "__file__", str(fake))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.chdir(tmp_path)
    assert all_benchmarks.run_one("hangs", [], 1.0).startswith("stopped after 1 s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device=tpu"], "device: one of cpu, gpu, got 'tpu'"),
        (["--minutes=0"], "minutes: a positive number of minutes expected, got '0'"),
        (["--minutes=soon"], "minutes: a positive number of minutes expected, got 'soon'"),
        (["--only=train_step,speed"], "only: among train_step, inference, recurrence, scaling"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    assert all_benchmarks.main([*arguments, f"--out={tmp_path}"]) == 1
    assert message in capsys.readouterr().err


def test_a_gpu_that_is_not_there(tmp_path):
    """In one line, before anything is measured."""
    command = [sys.executable, "-m", "experiments.benchmarks.all", "--small", "--device=gpu"]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        [*command, f"--out={tmp_path}"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: device: a gpu that JAX can use expected, found none (")
    assert len(run.stderr.splitlines()) == 1
