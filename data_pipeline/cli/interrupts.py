"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever it happens to be. In a callback of the garbage collector,
which JAX has, or in a `__del__`, it prints the exception and goes on.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

_SECONDS_UNTIL_REPEATED = 0.05  # by when the callback has returned


@contextlib.contextmanager
def repeated_interrupts() -> Iterator[None]:
    """In the block, a KeyboardInterrupt that Python ignores is raised again a moment later."""
    previous = sys.unraisablehook

    def hook(unraisable) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            timer = threading.Timer(_SECONDS_UNTIL_REPEATED, _interrupt)
            timer.daemon = True
            timer.start()
        else:
            previous(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous


def _interrupt() -> None:
    """Sends the main thread the first signal that it hears: SIGINT, or SIGTERM in a process that
    was started deaf to SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.pthread_kill(threading.main_thread().ident, number)
            return
