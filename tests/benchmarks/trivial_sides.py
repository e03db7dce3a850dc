"""Sides of a race for tests: next to no work, and failures."""

import os
import time
from pathlib import Path


def steady(work, mode, *, seconds=0.001, log=""):
    """Sleeps; writes each call into a file."""

    def call():
        time.sleep(seconds)
        if log:
            with Path(log).open("a") as file:
                print(seconds, file=file)
        return work.batch_size

    return call


def log(work, mode, *, log):
    """Prints, which must not disturb the answers."""

    def call():
        print("hello from", mode)
        return 0

    return call


def broken(work, mode):
    raise ValueError("no such thing")


def breaks_later(work, mode):
    """Fails at its third call: in its first turn."""
    calls = iter([1.0, 2.0])

    def call():
        for value in calls:
            return value
        raise RuntimeError("out of luck")

    return call


def forever(work, mode, *, file):
    """Says who it is and never comes back."""

    def call():
        Path(file).write_text(f"{os.getpid()}\n")
        time.sleep(3600)

    return call
