"""Building MiniSlakh, stopped by Ctrl-C or killed."""

import os
import signal
import subprocess
import sys

import pytest

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
