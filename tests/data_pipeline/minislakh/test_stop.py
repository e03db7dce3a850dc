"""Building MiniSlakh, stopped by Ctrl-C or killed."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.runtime.cache_folder import CACHE_VARIABLE
from tests import ROOT
from tests.waiting import MAX_SECONDS, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_build_leaves_no_process_and_goes_on(tmp_path, number):
    command = [sys.executable, "-m", "data_pipeline.minislakh", f"--out={tmp_path}"]
    process = subprocess.Popen(
        [*command, "--num_songs=400", "--song_seconds=2", "--num_workers=2"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: process.poll() is not None or list(tmp_path.glob("train/*")))
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: all of the process group
    else:
        process.kill()
    # Which ends when no worker holds the pipe any more.
    shown = process.communicate(timeout=MAX_SECONDS)[1]
    assert "Traceback" not in shown
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert shown.rstrip().endswith("Stopped. The same command continues where it was.")
    tracks = [p.name for p in tmp_path.glob("train/*")]
    assert 0 < len(tracks) < 400
    assert all((tmp_path / "train" / name / "metadata.yaml").is_file() for name in tracks)


SCRIPT_WITHOUT_GUARD = """
from data_pipeline.minislakh import pool
from experiments.config.loading import load_config
from experiments.training import data

pool.num_processors = lambda: 2
data.data_root(load_config("sets/set4.py", {"data.minislakh_songs": 2}))
"""


def test_a_script_that_runs_again_in_its_processes_is_told_so(tmp_path):
    """It waited for ever: the process that it had started waited for it, at the cache's lock."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT_WITHOUT_GUARD)
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(ROOT), CACHE_VARIABLE: str(tmp_path / "cache")},
        stderr=subprocess.PIPE, text=True, timeout=MAX_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "put what it does into a function that is called under `if __name__" in done.stderr
    assert "could not start (message above)" in done.stderr.splitlines()[-1]
