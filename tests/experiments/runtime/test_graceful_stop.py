"""Signals: the first is noted, the second acts, afterwards all is as before."""

import signal
import threading

import pytest

from experiments.runtime.graceful_stop import GracefulStop


@pytest.mark.parametrize("number", GracefulStop.SIGNALS)
def test_the_first_signal_is_only_noted(number):
    before = signal.getsignal(number)
    with GracefulStop() as stop:
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked
    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_stops_at_once():
    with pytest.raises(KeyboardInterrupt), GracefulStop():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with GracefulStop() as stop:
            signal.raise_signal(signal.SIGINT)
            assert not stop.asked
            signal.raise_signal(signal.SIGTERM)
            assert stop.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_it_leaves_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with GracefulStop() as stop:
            seen.append((stop.asked, signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
