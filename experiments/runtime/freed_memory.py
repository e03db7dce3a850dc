"""Freed memory goes back to the system, so that hours of music need no more of it than minutes."""

import contextlib
import ctypes
import sys

_M_MMAP_THRESHOLD = -3  # of glibc's mallopt
_LARGE_BYTES = 4 << 20


def return_large_blocks() -> None:
    """Have blocks of 4 MB and more mapped one by one and unmapped when freed (glibc only).

    By itself glibc raises this threshold to the largest block freed so far, and the heap then keeps
    what lies between blocks of many sizes: a quarter of all memory, and more the longer it runs.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
