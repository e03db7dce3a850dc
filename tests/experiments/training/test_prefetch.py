"""Batches ahead of the step: order, how far ahead, errors, the end, the time waited, memory."""

import itertools
import subprocess
import sys
import threading
import time

import pytest

from experiments.training import prefetch
from experiments.training.prefetch import Prefetch
from tests import ROOT
from tests.waiting import MAX_SECONDS, ReadersClock, wait_for


def _no_thread_left():
    return all(thread.name != "prefetch" for thread in threading.enumerate())


def test_all_batches_in_order_and_put():
    with Prefetch(range(20), lambda batch: batch * 10) as ahead:
        assert list(ahead) == [10 * k for k in range(20)]
        with pytest.raises(StopIteration):  # it stays at its end
            next(ahead)
    assert _no_thread_left()


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_never_more_than_so_many_ahead(ahead):
    read = []
    batches = (read.append(k) or k for k in itertools.count())
    with Prefetch(batches, lambda batch: batch, ahead=ahead) as following:
        for taken in range(5):
            wait_for(lambda taken=taken: len(read) == taken + ahead)
            time.sleep(0.01)
            assert len(read) == taken + ahead
            assert next(following) == taken


def test_reading_and_putting_happen_in_another_thread():
    where = []
    batches = (where.append(threading.current_thread()) for _ in range(2))
    with Prefetch(batches, lambda _: where.append(threading.current_thread())) as following:
        list(following)
    assert len(set(where)) == 1
    assert threading.current_thread() not in where


@pytest.mark.parametrize(
    "error", [OSError(5, "the disk is gone"), KeyError("a bug"), SystemExit(3)]
)
def test_what_the_reader_raises_comes_when_its_batch_is_asked_for(error):
    def broken():
        yield from range(3)
        raise error

    with Prefetch(broken(), lambda batch: batch) as following:
        assert [next(following) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(type(error)) as raised:
            next(following)
        with pytest.raises(StopIteration):  # as of any generator that failed
            next(following)
    assert raised.value is error
    assert "broken" in [frame.name for frame in raised.traceback]


def test_what_putting_raises_comes_too():
    with (
        Prefetch(range(3), lambda batch: 1 // (1 - batch)) as following,
        pytest.raises(ZeroDivisionError),
    ):
        assert list(following) is None


def test_leaving_early_ends_the_thread_and_closes_the_reader():
    closed = []

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    with (
        pytest.raises(ValueError, match="the loop failed"),
        Prefetch(endless(), lambda batch: batch) as following,
    ):
        next(following)
        raise ValueError("the loop failed")
    assert _no_thread_left()
    assert closed == [True]


def test_the_time_waited_is_that_of_a_reader_slower_than_the_loop(monkeypatch):
    clock = ReadersClock()
    monkeypatch.setattr(prefetch, "time", clock)
    with Prefetch(clock.slow(range(2), seconds=5.0), lambda batch: batch) as following:
        assert [following.waited for _ in following] == [5.0, 10.0]
    with Prefetch(range(2), lambda batch: batch) as following:
        assert [following.waited for _ in following] == [0.0, 0.0]


def test_an_interpreter_that_ends_while_reading_ends_well():
    """As after a second Ctrl-C: the exception leaves the context, then the interpreter."""
    code = (
        "import itertools, time\n"
        "from experiments.training.prefetch import Prefetch\n"
        "batches = (time.sleep(0.05) or k for k in itertools.count())\n"
        "with Prefetch(batches, lambda batch: batch) as following:\n"
        "    next(following)\n"
        "    raise KeyboardInterrupt\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=MAX_SECONDS
    )
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode == -2
