"""Ctrl-C and SIGTERM that wait for the end of a step, so that what is saved is whole.

A step donates its state to the device; an exception raised in the middle of it would leave nothing
to save. A second Ctrl-C stops at once.
"""

import signal
import threading


class GracefulStop:
    """While entered, the first SIGINT or SIGTERM only sets `asked`; the second acts as ever.

    A signal that the process was told to ignore, as a script tells its background jobs, stays so.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.asked = False
        self._previous = {}

    def __enter__(self) -> "GracefulStop":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids it
            heard = [n for n in self.SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._previous = {number: signal.signal(number, self._ask) for number in heard}
        return self

    def _ask(self, *_) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def __exit__(self, *_) -> None:
        self._restore()
