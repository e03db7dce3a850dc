"""What several processes of one run agree on. In a single process nothing is asked of JAX.

Whatever decides how a process goes on must be known to all: the others would wait for it forever in
the next step. Every process has to call these functions at the same point.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils


def any_process(here: bool) -> bool:
    """Whether it is so in any of the processes."""
    if jax.process_count() == 1:
        return here
    return bool(np.any(multihost_utils.process_allgather(np.array(here))))


def check_same(name: str, here: int, *, hint: str) -> None:
    """Raises ValueError, in all processes, unless a number is the same in each.

    Args:
        name: of the number, for the message.
        here: its value in this process.
        hint: what helps.
    """
    if jax.process_count() == 1:
        return
    values = multihost_utils.process_allgather(np.array(here)).tolist()
    if len(set(values)) > 1:
        raise ValueError(f"{name}: the same in every process expected, got {values}; {hint}")
