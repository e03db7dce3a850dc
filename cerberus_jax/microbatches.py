"""Groups of excerpts that the losses look at together: how many, and one group after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# Frames a CPU works on at once in the heads: enough to fill its cores, few enough for its caches.
CPU_FRAMES_PER_MICROBATCH = 400
# Excerpts elsewhere: enough that a microbatch fills the chip.
MICROBATCH_SIZE = 16


def choose_microbatch_size(batch: int, num_frames: int, *, platform: str, at_most: int = 0) -> int:
    """How many of a device's excerpts to look at together.

    The largest divisor of the batch that is at most `at_most`; where that is less than half of it,
    as few groups as possible of the same size, but for the last, which may be smaller.

    Args:
        batch: excerpts that a device has at once.
        num_frames: of an excerpt.
        platform: that of the devices the program is compiled for, 'cpu' or another.
        at_most: 0 for what suits the platform.
    """
    if not at_most:
        on_cpu = platform == "cpu"
        at_most = max(CPU_FRAMES_PER_MICROBATCH // num_frames, 1) if on_cpu else MICROBATCH_SIZE
    at_most = min(batch, at_most)
    divisor = max(k for k in range(1, at_most + 1) if batch % k == 0)
    if 2 * divisor >= at_most:
        return divisor
    return -(-batch // -(-batch // at_most))


def over_microbatches(
    microbatch: Callable[[Any, Any, int], tuple[Any, Any]], carry: Any, *, batch: int, size: int
) -> tuple[Any, Any]:
    """What microbatch(carry, start, size) carries on, and its results for the whole batch.

    Args:
        microbatch: gives the new carry, and results [size ...] of the excerpts from `start` on.
        carry: what the first group gets.
        batch, size: excerpts of the batch and of a group; those that fill none are the last group.
    """
    size = min(size, batch)
    starts = jnp.arange(0, batch - size + 1, size)
    carry, results = lax.scan(lambda carry, start: microbatch(carry, start, size), carry, starts)
    results = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), results)
    if rest := batch % size:
        carry, last = microbatch(carry, batch - rest, rest)
        results = jax.tree.map(lambda *parts: jnp.concatenate(parts), results, last)
    return carry, results


def cut(tree: Any, start: Any, size: int) -> Any:
    """The excerpts of a group, cut out of arrays [b ...] inside the loop: as a sequence that the
    loop runs over, [groups excerpts ...], the compiler would hold a copy of the batch."""
    return jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start, size), tree)
