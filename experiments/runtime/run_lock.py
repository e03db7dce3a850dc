"""One run at a time in a directory: two would overwrite each other's checkpoints and log."""

import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

LOCK_FILE = ".lock"


@contextlib.contextmanager
def run_lock(workdir: str | Path) -> Iterator[None]:
    """In the block, this process, or the first of several, has the directory for itself.

    The system gives the lock back when the process ends, in whatever way.

    Raises:
        ValueError: in all processes of a run, if another run has it; says which process.
    """
    from cerberus_jax.processes import exchange
    from experiments.runtime.distributed import is_first

    workdir = Path(workdir)
    with contextlib.ExitStack() as stack:
        problem = stack.enter_context(_locked(workdir)) if is_first() else ""
        found = exchange("run lock", problem) or ["process 0 has ended"]
        if found[0]:
            raise ValueError(f"workdir: {found[0]}; wait for it or give another --workdir")
        yield


@contextlib.contextmanager
def _locked(workdir: Path) -> Iterator[str]:
    """Gives why the lock cannot be had, or ''."""
    path = workdir / LOCK_FILE
    workdir.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield f"{workdir} is in use by {file.read().strip() or 'another process'}"
            return
        except OSError as error:
            logging.warning(
                "%s: this file system has no locks (%s); a second run here would not be noticed",
                path,
                error.strerror,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield ""
        finally:
            if [other.name for other in workdir.iterdir()] == [LOCK_FILE]:  # nothing was written
                path.unlink()
