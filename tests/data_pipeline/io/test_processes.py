"""Processes: their number, and their end."""

import os
import subprocess
import sys

import pytest

from data_pipeline.io.processes import num_processors
from tests import ROOT

ORPHAN = """
import os, subprocess, sys, time
child = "import os, time; from data_pipeline.io.processes import end_with; "
child += "end_with(os.getppid()); print(os.getpid(), flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
print(process.stdout.readline(), end="", flush=True)
os._exit(0)
"""


def test_those_that_may_be_used_count():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not tell which processors a process may use")
    before = os.sched_getaffinity(0)
    assert num_processors() == len(before)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert num_processors() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_process_does_not_outlive_its_parent():
    """The pipe that both hold is closed when the second of them has ended."""
    command = [sys.executable, "-c", ORPHAN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert int(done.stdout) > 0 and not done.stderr
