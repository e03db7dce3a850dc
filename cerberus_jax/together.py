"""Several points of a sweep trained on the same batches, each as it would be alone.

What may differ between them is arrays: keys, loss weights and numbers of the optimiser. Points in
turn share the targets of a batch and have a program for each set of heads. Stacked points are one
program, mapped over the points; there each has all heads, and the weight of those it lacks is zero.
"""

import functools
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool

from cerberus_jax.heads import HEADS
from cerberus_jax.parallel import replicated, sharded
from cerberus_jax.per_device import REPLICATED, per_device
from cerberus_jax.per_device import sharded as examples
from cerberus_jax.steps import Task, batch_targets, step_on_targets
from cerberus_jax.train_state import TrainState

OPTIMIZER_ARRAYS = ("learning_rate", "b1", "b2", "eps", "gradient_clip_norm")
"""Fields of OptimizerConfig that may be arrays in a compiled step."""


class Setting(NamedTuple):
    """What tells a point from others of its program.

    Args:
        key: its dropout key.
        loss_weights: by head.
        optimizer: values of those `OPTIMIZER_ARRAYS` in which points differ.
    """

    key: Array
    loss_weights: dict[str, Array]
    optimizer: dict[str, Array]


def point_step(
    state: TrainState, targets: dict[str, Array], setting: Setting, *, task: Task
) -> tuple[TrainState, dict[str, Array]]:
    """`steps.train_step` of a point on what `steps.batch_targets` made of the batch."""
    kind = jax.tree.leaves(state.params)[0].dtype
    fields = {
        name: value.astype(state.plateau.scale.dtype if name == "learning_rate" else kind)
        for name, value in setting.optimizer.items()
    }
    task = replace(task, optimizer=replace(task.optimizer, **fields)) if fields else task
    return step_on_targets(state, targets, setting.key, setting.loss_weights, task=task)


def stacked_step(
    states: TrainState, batch: dict, settings: Setting, active: Bool[Array, " p"], *, task: Task
) -> tuple[TrainState, dict[str, Array]]:
    """One update of p points on a batch.

    Args:
        states: the arrays of all points, [p ...] each, but for the step, which they share.
        batch: as for `steps.train_step`.
        settings: of all points, [p ...] each.
        active: which points are updated; the others stay as they are.
        task: with all heads that any of the points has.
    """
    targets = batch_targets(task, batch)

    def one(state, setting, is_active):
        after, metrics = point_step(state, targets, setting, task=task)
        kept = jax.tree.map(lambda new, old: jnp.where(is_active, new, old), after, state)
        return kept.replace(step=after.step), metrics

    per_point = jax.tree.map(lambda _: 0, states).replace(step=None)
    return jax.vmap(one, (per_point, 0, 0), (per_point, 0))(states, settings, active)


def jit_stacked_step(task: Task, mesh: Mesh):
    """`stacked_step` with the points divided over the devices of the mesh; states are donated."""
    task = replace(task.on_mesh(None), zero_weights=True)
    step, points = functools.partial(stacked_step, task=task), examples()

    def on_devices(states, batch, settings, active):
        of_states = jax.tree.map(lambda _: points, states).replace(step=REPLICATED)
        specs = (of_states, REPLICATED, points, points), (of_states, points)
        return per_device(step, mesh, *specs)(states, batch, settings, active)

    return jax.jit(step if mesh.size == 1 else on_devices, donate_argnums=0)


def jit_targets(task: Task, mesh: Mesh):
    """`batch_targets` on the mesh: the targets of all heads of the task, examples sharded."""
    task = task.on_mesh(mesh if mesh.size > 1 else None)
    over = sharded(mesh)
    return jax.jit(functools.partial(batch_targets, task), in_shardings=over, out_shardings=over)


def jit_point_step(task: Task, mesh: Mesh):
    """`point_step` on the mesh: (state, targets, setting) -> (state, metrics); state donated."""
    task = task.on_mesh(mesh if mesh.size > 1 else None)
    same = replicated(mesh)
    return jax.jit(
        functools.partial(point_step, task=task),
        in_shardings=(same, sharded(mesh), same),
        out_shardings=(same, same),
        donate_argnums=0,
    )


def part_of(state: TrainState, heads: Collection[str]) -> TrainState:
    """The state of a network with `heads` alone, out of that of one with more."""
    absent = {head.submodule for name, head in HEADS.items() if name not in heads}
    return _by_module(
        lambda modules: {name: own for name, own in modules.items() if name not in absent}, state
    )


def filled(state: TrainState, part: TrainState) -> TrainState:
    """The state with what `part_of` had taken in its place."""
    return _by_module(lambda whole, own: whole | own, state, part)


def _by_module(change, state, *others):
    """Changes parameters and what is kept for each of them, the dictionaries of a state."""

    def changed(node, *rest):
        return change(node, *rest) if isinstance(node, dict) else ([node, *rest][-1])

    return jax.tree.map(changed, state, *others, is_leaf=lambda node: isinstance(node, dict))
