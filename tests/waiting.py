"""Waiting for other threads and processes. No result depends on how long they take; the limit is
for what hangs."""

import threading
import time

import pytest

MAX_SECONDS = 300.0


def wait_for(condition):
    """The first true value of `condition()`; the test fails where it never comes."""
    until = time.monotonic() + MAX_SECONDS
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.01)
    return pytest.fail(f"waited {MAX_SECONDS:.0f} s for {condition}")


class ReadersClock:
    """In place of `time` in a module that measures how long a loop waits for a reader.

    The clock stands still but for `slow`, so that what is measured is exact.
    """

    def __init__(self):
        self.now = 0.0
        self._num_calls = 0
        self._loop_waits = threading.Event()

    def monotonic(self) -> float:
        """The time. A wait is between two calls, so every other call begins one."""
        self._num_calls += 1
        if self._num_calls % 2:
            self._loop_waits.set()
        return self.now

    def slow(self, batches, *, seconds: float):
        """The batches, each read while the loop waits for it, in so many seconds of this clock."""
        for batch in batches:
            self._loop_waits.wait(MAX_SECONDS)
            self._loop_waits.clear()
            self.now += seconds
            yield batch
