"""Progress: a bar on a terminal, few lines in a log."""

import io
import sys

import pytest

from data_pipeline.cli import progress as module
from data_pipeline.cli.progress import SECONDS_PER_LINE, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to: `clock[0] += 1`."""
    seconds = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds[0])
    return seconds


def work(clock, *, count, seconds, **options):
    for _ in Progress(range(count), "working", **options):
        clock[0] += seconds


def test_a_log_gets_a_line_a_minute(clock, capsys):
    work(clock, count=600, seconds=1.0, unit="step")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 600 / SECONDS_PER_LINE
    assert lines[0].startswith("working:  10% 60/600 [01:00<09:00")
    assert not any("\r" in line or "|" in line for line in lines)


def test_short_work_leaves_nothing_in_a_log(clock, capsys):
    work(clock, count=1000, seconds=0.9 * SECONDS_PER_LINE / 1000)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{"disable": True}, {"nested": True}])
def test_what_is_disabled_or_shown_already_gets_no_lines(clock, capsys, options):
    work(clock, count=10, seconds=100.0, **options)
    assert capsys.readouterr().err == ""


def test_what_was_done_before_counts_but_not_for_the_pace(clock, capsys):
    with Progress(total=100, initial=40, unit="step") as progress:
        progress.set_postfix_str("loss 0.5")
        clock[0] += SECONDS_PER_LINE
        progress.update(30)
    assert progress.n == 70
    assert capsys.readouterr().err == " 70% 70/100 [01:00<01:00,  2.00s/step, loss 0.5]\n"


def test_a_terminal_gets_a_bar_and_text_above_it(clock, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(range(3), "working") as progress:
        for _ in progress:
            clock[0] += SECONDS_PER_LINE
            progress.write("a note")
    shown = terminal.getvalue()
    assert "working: 100%|" in shown and "\r" in shown
    assert capsys.readouterr().out == "a note\n" * 3


def test_a_terminal_gets_nothing_when_disabled(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(Progress("abc", disable=True)) == list("abc")
    assert terminal.getvalue() == ""


def test_errors_pass_through_and_end_the_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(KeyError):
        for _ in Progress(range(3)):
            raise KeyError
    assert terminal.getvalue().endswith("\n")
