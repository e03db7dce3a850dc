"""How the persistent recurrence is laid over a Hopper GPU: units per block, examples per group,
and what that takes of a block's shared memory."""

UNITS = 64
"""Hidden units of a block: the fewest rows wgmma takes."""

SHARED_MEMORY = 227 * 1024
"""Bytes of shared memory a block may have."""

_BLOCKS = 8
"""Most blocks of a cluster."""
_CLUSTERS = 20
"""Clusters of five blocks that surely run at once: three in each of the seven or eight parts of
the chip (GPCs of 16 or 18 multiprocessors), with one to spare."""
_FEWEST_ROWS, _MAX_ROWS = 8, 32
"""Examples of a group: wgmma's step, and what fits beside the weights of 300 units."""
_ALIGNMENT = 1024
"""Bytes: every buffer starts at a multiple of this."""


def padded_units(hidden: int) -> int:
    """Hidden units filled up to whole blocks."""
    return _up(hidden, UNITS)


def rows_per_group(batch: int) -> int:
    """Examples of a group: as few as let all groups of both directions run at once."""
    groups = _CLUSTERS // 2
    rows = _up(-(-batch // groups), _FEWEST_ROWS)
    return min(rows, _MAX_ROWS)


def shared_memory_bytes(hidden: int, rows: int, itemsize: int) -> int:
    """What a block of the more demanding kernel takes; `itemsize` is that of the products' type."""
    units = padded_units(hidden)
    weights = 4 * UNITS * units * itemsize
    forward = [weights, rows * units * itemsize, rows * UNITS * itemsize]
    backward = [weights, rows * 4 * UNITS * itemsize, rows * units * 4]
    barriers = 2 * _ALIGNMENT
    return max(sum(_up(size, _ALIGNMENT) for size in kernel) for kernel in (forward, backward)) + (
        barriers
    )


def size_reason(hidden: int, batch: int, itemsize: int) -> str | None:
    """Why a layer of this size does not fit, or None if it does."""
    blocks = padded_units(hidden) // UNITS
    if blocks > _BLOCKS:
        return f"hidden size {hidden} needs a cluster of {blocks} blocks, Hopper has {_BLOCKS}"
    needed = shared_memory_bytes(hidden, rows_per_group(batch), itemsize)
    if needed > SHARED_MEMORY:
        return (
            f"hidden size {hidden} needs {needed} bytes of shared memory per block, "
            f"Hopper has {SHARED_MEMORY}"
        )
    return None


def _up(number, step):
    return -(-number // step) * step
