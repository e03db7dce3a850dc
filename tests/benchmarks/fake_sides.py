"""Sides of a race for tests: next to no work, and every way to fail."""

import os
import time
from pathlib import Path


def steady(work, mode, *, seconds=0.001, log=""):
    """Sleeps; prints, which must not disturb the answers; writes each call into a file."""

    def call():
        print("hello from", mode)
        time.sleep(seconds)
        if log:
            with Path(log).open("a") as file:
                print(seconds, file=file)
        return work.batch_size

    return call


def broken(work, mode):
    raise ValueError("no such thing")


def infinite(work, mode):
    """Computes no number."""
    return lambda: float("inf")


def breaks_later(work, mode):
    """Fails at its third call: in its first turn."""
    calls = iter([1.0, 2.0])

    def call():
        for value in calls:
            return value
        raise RuntimeError("out of luck")

    return call


def hangs(work, mode):
    """Prepares, then takes its turn for ever."""
    calls = iter(range(2))

    def call():
        if next(calls, None) is None:
            time.sleep(600)
        return 0.0

    return call


def forever(work, mode, *, file):
    """Says who it is and never comes back."""

    def call():
        Path(file).write_text(f"{os.getpid()}\n")
        time.sleep(3600)

    return call


def leaves(work, mode):
    """Ends its process without an error before it is ready."""
    os._exit(0)
