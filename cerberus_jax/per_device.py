"""Running a function on every device with its own examples.

A scan over a sharded batch, a scatter into it, or a Fourier transform of it would be compiled to
gather the whole batch on every device; inside `per_device` the compiler sees the local part alone.
"""

from collections.abc import Callable

import jax
from jax.sharding import Mesh, PartitionSpec

REPLICATED = PartitionSpec()
"""The same array on every device."""


def sharded(axis: int = 0) -> PartitionSpec:
    """Axis number `axis` holds the examples and is divided over the devices."""
    return PartitionSpec(*[None] * axis, "data")


def per_device(run: Callable, mesh: Mesh | None, in_specs, out_specs) -> Callable:
    """`run` under shard_map over the mesh; `run` itself where there is no mesh.

    Replication is not checked (check_vma): whoever takes gradients inside takes them of local
    values alone and sums them by a psum in plain sight.
    """
    if mesh is None:
        return run
    return jax.shard_map(run, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
