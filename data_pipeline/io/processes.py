"""Processes: how many there should be, and that none outlives the one that started it."""

import multiprocessing
import os
import threading
import time


def num_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_script_may_start_processes() -> None:
    """A process that a pool has started runs the caller's script once more to know its functions,
    and must not start the same work, or wait for it, there.

    Raises:
        RuntimeError: in such a process, while it still runs the script.
    """
    # Python's own check, made only where a process is started, looks at the same attribute.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "this script starts processes, which run it again from the top: put what it does into "
            "a function that is called under `if __name__ == '__main__':`"
        )


def end_with(parent: int) -> None:
    """End this process soon after `parent` has ended, however that happened."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
