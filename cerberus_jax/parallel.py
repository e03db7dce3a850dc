"""Training on several devices: two spellings of the same step.

`jit_step` sees the global batch and lets the compiler shard it; it is the default and the one for
several processes. `pmap_step` is the literal `jax.pmap` with a mean of gradients, for one host;
dropout then differs from device to device.
"""

import ctypes
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from cerberus_jax.steps import Task, eval_step, init_state, train_step

PARALLEL = ("jit", "pmap")


def make_mesh(devices=None) -> Mesh:
    """All devices (of all processes) in one row, axis 'data'."""
    devices = np.asarray(jax.devices() if devices is None else devices)
    return Mesh(devices, ("data",), axis_types=(AxisType.Auto,))


def platform_of(mesh: Mesh) -> str:
    """That of its devices, such as 'cpu' or 'tpu': what a step on the mesh is compiled for."""
    return mesh.devices.flat[0].platform


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The first axis divided over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(batch_size: int, num_devices: int, accumulation_steps: int = 1) -> None:
    """Raises ValueError unless every device gets the same number of examples, in every one of the
    parts in which a step takes its batch."""
    parts, times = num_devices * accumulation_steps, ""
    if accumulation_steps > 1:
        times = f" times {accumulation_steps} of train.accumulation_steps"
    if batch_size % parts:
        raise ValueError(
            f"batch_size: must be divisible by the {num_devices} devices{times}, got {batch_size}; "
            f"try --config.batch_size={-(-batch_size // parts) * parts}"
        )


def put_batch(batch: dict, mesh: Mesh) -> dict:
    """The global batch on the devices, from the share of it that this process has read."""
    sharding = sharded(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, value)
        for name, value in batch.items()
    }


def jit_init(task: Task, mesh: Mesh):
    """init_state on the mesh: (key, batch) -> the same state on every device."""
    task = task.on_mesh(mesh if mesh.size > 1 else None)
    same, examples = replicated(mesh), sharded(mesh)
    return jax.jit(
        functools.partial(init_state, task), in_shardings=(same, examples), out_shardings=same
    )


def make_step(task: Task, mesh: Mesh, *, parallel: str = "jit"):
    """step(state, batch, key, loss_weights) -> (state, metrics), in the spelling asked for."""
    if parallel == "jit":
        return jit_step(task, mesh)
    if parallel == "pmap":
        return pmap_step(task, mesh)
    raise ValueError(f"parallel: one of {PARALLEL}, got {parallel!r}")


def compile_step(step, *args):
    """The step compiled for arguments like these, and the compiler's memory given back.

    Args:
        step: what `make_step` gives.
        args: as in a call; shapes will do for the state.
    """
    compiled = step.compiled(*args) if isinstance(step, _PmapStep) else step.lower(*args).compile()
    _give_back_memory()
    return compiled


def _give_back_memory():
    """What the compiler has freed (hundreds of MB) would otherwise stay in glibc's lists,
    beside what the step needs."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def jit_step(task: Task, mesh: Mesh):
    """The global-view step under jit: batch sharded, state replicated and donated."""
    task = task.on_mesh(mesh if mesh.size > 1 else None)
    same, examples = replicated(mesh), sharded(mesh)
    return jax.jit(
        functools.partial(train_step, task=task),
        in_shardings=(same, examples, same, same),
        out_shardings=(same, same),
        donate_argnums=0,
    )


def pmap_step(task: Task, mesh: Mesh):
    """The step under jax.pmap, its state donated; every device folds its index into the dropout
    key."""
    if jax.process_count() > 1:
        raise ValueError("parallel: 'pmap' works in one process; use parallel='jit' for several")

    def body(state, batch, key, loss_weights):
        key = jax.random.fold_in(key, jax.lax.axis_index("data"))
        mean = functools.partial(jax.lax.pmean, axis_name="data")
        return train_step(state, batch, key, loss_weights, task=task, mean_across_devices=mean)

    stepped = jax.pmap(
        body,
        "data",
        in_axes=(None, 0, None, None),
        out_axes=None,
        devices=list(mesh.devices.flat),
        donate_argnums=0,
    )
    return _PmapStep(stepped, mesh.size)


@dataclass(frozen=True)
class _PmapStep:
    """A pmapped function called with the whole batch, of which every device gets its part."""

    stepped: Callable
    num_devices: int

    def __call__(self, *args):
        return self.stepped(*self._split(*args))

    def compiled(self, *args) -> "_PmapStep":
        """The same, compiled for arguments like these."""
        return replace(self, stepped=self.stepped.lower(*self._split(*args)).compile())

    def memory_analysis(self):
        """What the compiler says of the memory on each device, once compiled."""
        return self.stepped.memory_analysis()

    def _split(self, state, batch, *rest):
        split = {k: v.reshape(self.num_devices, -1, *v.shape[1:]) for k, v in batch.items()}
        return state, split, *rest


def jit_eval(task: Task, mesh: Mesh):
    """eval_step on the mesh: (params, batch, loss_weights) -> losses per example."""
    task = task.on_mesh(mesh if mesh.size > 1 else None)
    same, examples = replicated(mesh), sharded(mesh)
    return jax.jit(
        functools.partial(eval_step, task=task),
        in_shardings=(same, examples, same),
        out_shardings=same,
    )
