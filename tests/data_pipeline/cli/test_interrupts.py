"""An interrupt ends a command wherever it comes."""

import gc
import signal
import sys
import time

import pytest

from data_pipeline.cli.flags import CommandFlags, run_command

MAX_SECONDS = 60


class InterruptedWhenForgotten:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def in_the_garbage_collector():
    def callback(phase, info):
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()


def in_a_destructor():
    InterruptedWhenForgotten()


@pytest.mark.parametrize("interrupt", [in_the_garbage_collector, in_a_destructor])
def test_an_interrupt_that_python_ignores_is_not_lost(interrupt, capsys):
    went_on = []

    def command(flags):
        interrupt()
        went_on.append(True)  # Python has ignored it
        time.sleep(MAX_SECONDS)

    hook = sys.unraisablehook
    assert run_command(command, CommandFlags("c", "d"), argv=[]) == 130
    assert went_on
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == "\nStopped.\n"


def test_other_ignored_errors_are_shown_as_ever(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: shown.append(unraisable.exc_type))

    class Broken:
        def __del__(self):
            raise KeyError("a bug")

    def command(flags):
        Broken()

    assert run_command(command, CommandFlags("c", "d"), argv=[]) == 0
    assert shown == [KeyError]
