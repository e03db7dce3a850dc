"""Which way the recurrence is computed: by the backend, or as the config says."""

import logging

import jax

AUTO = "auto"
PATHS = (AUTO, "scan", "scan_together", "persistent")
"""'scan': one loop, the directions multiplied apart. 'scan_together': one product for both.
'persistent': one GPU kernel for the whole sequence (persistent.py), 'scan_together' where that
cannot run. 'auto': 'scan' on a CPU, 'scan_together' elsewhere."""

_log = logging.getLogger(__name__)
_said = set()


def choose(recurrence: str, *, batch: int, hidden: int, precision: str) -> str:
    """The path that will run.

    Raises:
        ValueError: if the name is unknown.
    """
    if recurrence not in PATHS:
        raise ValueError(f"recurrence: one of {', '.join(PATHS)}, got {recurrence!r}")
    if recurrence == AUTO:
        return "scan" if jax.default_backend() == "cpu" else "scan_together"
    return recurrence
