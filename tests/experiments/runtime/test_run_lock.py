"""Two runs in one directory."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from cerberus_jax import processes
from experiments.runtime import distributed
from experiments.runtime.run_lock import LOCK_FILE, run_lock
from tests import ROOT

HOLD = (
    "import sys, time; from experiments.runtime.run_lock import run_lock\n"
    "with run_lock(sys.argv[1]): print('locked', flush=True); time.sleep(600)"
)


def test_a_second_run_is_refused_while_the_first_lives(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "locked\n"
        message = rf"in use by process {first.pid} on .*--workdir"
        with pytest.raises(ValueError, match=message), run_lock(tmp_path):
            pass
        first.send_signal(signal.SIGKILL)
    with run_lock(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK_FILE).read_text()
        (tmp_path / "config.json").touch()
    assert (tmp_path / LOCK_FILE).exists()


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path):
    with run_lock(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with run_lock(tmp_path):
        pass
    assert "no locks" in caplog.text


def test_the_other_processes_of_a_run_learn_what_the_first_found(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "is_first", lambda: False)
    monkeypatch.setattr(processes, "exchange", lambda name, here: ["it is in use by X", here])
    with pytest.raises(ValueError, match="in use by X"), run_lock(tmp_path):
        pass
