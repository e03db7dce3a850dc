"""Batches read and put on the devices ahead of the step that takes them.

JAX returns from a step before it is computed, so the loop already hands out work in advance; what
would still stall the devices is a batch that takes long to read, as any does beside steps of
milliseconds. One thread therefore reads and copies
while the loop computes, never more than `ahead` batches in advance, so that memory stays bounded.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator


class Prefetch:
    """An iterator over `put(batch)` of each of the batches, in their order; use it as a context.

    What the reader raises is raised here, when the batch it was to give is asked for. Leaving the
    context waits until the batch being read is there, and reads no more.

    Args:
        batches: what to read; only the thread touches it.
        put: takes a batch from the host to the devices.
        ahead: batches read but not yet asked for, at most.
    """

    def __init__(self, batches: Iterable, put: Callable, *, ahead: int = 2):
        self.waited = 0.0  # seconds that `next` had to wait, all together
        self._put = put
        self._free = threading.Semaphore(ahead)
        self._ready = queue.SimpleQueue()  # of (batch, None), or (None, what ended the reading)
        self._stopped = self._ended = False
        # No daemon: the interpreter must not end while TensorFlow reads. The iterator goes along as
        # an argument, which the thread drops when it ends, and the data set with it.
        self._thread = threading.Thread(target=self._read, args=(iter(batches),), name="prefetch")

    def __enter__(self) -> "Prefetch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopped = True
        self._free.release()
        self._thread.join()

    def __iter__(self) -> Iterator:
        return self

    def __next__(self):
        if self._ended:
            raise StopIteration
        began = time.monotonic()
        batch, end = self._ready.get()
        self.waited += time.monotonic() - began
        if end is None:
            self._free.release()
            return batch
        self._ended = True
        try:
            raise end
        finally:
            del end  # or its traceback, which has this frame, would keep the batches alive

    def _read(self, batches: Iterator) -> None:
        try:
            while self._free.acquire() and not self._stopped:
                self._ready.put((self._put(next(batches)), None))
        except BaseException as end:  # handed over whole: the loop is the one to end
            self._ready.put((None, end))
