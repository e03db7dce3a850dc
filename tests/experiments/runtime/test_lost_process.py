"""The filter of stderr: all is passed on but JAX's report of a lost process, which becomes a line.

The reports are what JAX 0.10.2 wrote; test_distributed.py has genuine ones.
"""

import signal
import subprocess
import sys

import pytest

from experiments.runtime import lost_process
from tests import ROOT

SILENT = b"""\
E1129 18:20:20.590548    5041 coordination_service.cc:1549] [16942] Use error polling to propagate \
the following error to all tasks: UNAVAILABLE: The following tasks are unhealthy (stopped sending \
heartbeats):
1
The tasks have crashed.
F1129 18:20:20.591229    5052 client.h:80] Terminating process because
*** Check failure stack trace: ***
    @     0x7f62b3a40634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""
LEADER = b"""\
E1129 18:20:26.819007    5093 coordination_service_agent.cc:289] Polled an error
F1129 18:20:26.819046    5093 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: UNAVAILABLE: Failed to send RPC to coordination service. Either
*** Check failure stack trace: ***
"""
START = b"""\
F1129 18:26:45.310091    6742 client.h:80] Terminating process: DEADLINE_EXCEEDED

RPC: /xla.coordination.CoordinationService/RegisterTask
*** Check failure stack trace: ***
"""


def passed_on(text):
    done = subprocess.run(
        [sys.executable, lost_process.__file__], input=text, capture_output=True, check=True
    )
    assert done.stdout == b""
    return done.stderr


@pytest.mark.parametrize(
    ("report", "names"),
    [
        (SILENT, "process 1 of this run has ended"),
        (LEADER, "process 0 of this run has ended"),
        (START, "--start_timeout"),
        (b"a process is lost: another\n", "another process of this run"),
    ],
)
def test_a_report_becomes_one_line(report, names):
    before = b"warning: slow\n  and its second line\n"
    lines = passed_on(before + report).decode().splitlines()
    assert lines[:2] == ["warning: slow", "  and its second line"]
    assert len(lines) == 3
    assert names in lines[2] and lines[2].startswith("error: ")


def test_all_else_is_passed_on():
    text = b"Traceback:\n  File x\nE1129 18:20:20.590548  5041 slow_compile.cc:1] slow\n\xff no end"
    assert passed_on(text) == text


@pytest.mark.parametrize(
    ("end", "line", "code"),
    [
        ("os.abort()", [], signal.SIGABRT),  # an exit code, not a signal that leaves a core
        ("lost_process.end_with_report()", ["error: another process"], 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", [], -signal.SIGKILL),
        ("sys.exit(3)", [], 3),
    ],
)
def test_a_process_that_ends(end, line, code):
    program = (
        "import os, signal, sys; from experiments.runtime import lost_process; "
        f"lost_process.replace_reports(); print('said', file=sys.stderr); {end}"
    )
    command = [sys.executable, "-u", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said, *lines = filter(None, done.stderr.splitlines())
    assert said == "said"
    assert [text[: len(line[0])] for text in lines] == line
    assert done.returncode == code


def test_which_errors_are_reports():
    lost = ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer")
    assert lost_process.is_report(lost)
    outer = OSError(5, "No checkpoint was saved")
    outer.__cause__ = lost
    assert lost_process.is_report(outer)
    assert not lost_process.is_report(ValueError("batch_size: must be divisible"))
