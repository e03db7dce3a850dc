"""What several processes of one run agree on. In a single process nothing is asked of JAX.

Whatever decides how a process goes on must be known to all: the others would wait for it forever in
the next step. Every process has to call these functions at the same point.
"""

import time

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Float64
from orbax.checkpoint import multihost

_SECONDS_BETWEEN_LOOKS = 0.05


def any_process(here: bool) -> bool:
    """Whether it is so in any of the processes."""
    if jax.process_count() == 1:
        return here
    return bool(np.any(multihost_utils.process_allgather(np.array(here))))


def of_first_process(here: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The numbers of the first process, bit by bit, in every process."""
    if jax.process_count() == 1:
        return here
    words = multihost_utils.broadcast_one_to_all(here.view(np.uint32))
    return np.asarray(words, np.uint32).view(np.float64)


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


def exchange(name: str, here: str, *, seconds: float | None = None) -> list[str] | None:
    """The texts of all processes, in their order, without the devices, which may be busy.

    Args:
        name: of the texts; each can be exchanged once in a run.
        here: the text of this process.
        seconds: how long to wait for the others; None: as long as they live.

    Returns:
        None if some did not come.
    """
    if jax.process_count() == 1:
        return [here]
    client, began = multihost.get_jax_distributed_client(), time.monotonic()
    try:
        client.key_value_set(f"{name}/{jax.process_index()}", here)
        while len(found := client.key_value_dir_get(f"{name}/")) < jax.process_count():
            if seconds is not None and time.monotonic() - began > seconds:
                return None
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except RuntimeError:  # process 0, which keeps the texts, has ended
        return None
    texts = {int(key.rpartition("/")[2]): text for key, text in found}
    return [texts[number] for number in sorted(texts)]
