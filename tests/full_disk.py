"""A disk that is full, for tests: no file may grow beyond a limit."""

import contextlib
import resource


@contextlib.contextmanager
def room_for(num_bytes: int):
    """Writing more than this into any one file fails as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
