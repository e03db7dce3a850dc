"""One training step, one evaluation step, one prediction step: plain functions of arrays.

They see the whole batch and know nothing of devices; parallel.py spreads them. The frame a strided
loss begins with advances by one each step, so that every frame is looked at.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Inexact

from cerberus_jax.heads import Head, head_giving
from cerberus_jax.joint_loss import head_losses
from cerberus_jax.masks import MaskKind
from cerberus_jax.model import Cerberus, relative_db
from cerberus_jax.per_device import per_device, sharded
from cerberus_jax.stft import istft, stft
from cerberus_jax.targets import make_targets, source_waveforms
from cerberus_jax.train_state import OptimizerConfig, TrainState


@dataclass(frozen=True)
class Task:
    """Everything static about a training run: what is trained, on what, and how.

    Args:
        model: the network.
        optimizer: how it is trained.
        loss_options: by head the `LOSS_FIELDS` that differ from its defaults.
        microbatch_size: examples whose losses are computed together, on each device.
        accumulation_steps: parts in which a step takes its batch, one after another; the update is
            that of the mean of their gradients. Of k parts, part j has the examples j, j + k, ...
        zero_weights: loss weights may be zero (see `joint_loss.head_losses`).
    """

    model: Cerberus
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    microbatch_size: int = 1
    accumulation_steps: int = 1
    zero_weights: bool = False

    @property
    def heads(self) -> dict[str, Head]:
        """The network's heads with the options of their losses."""
        heads = self.model.head_objects()
        return {
            name: replace(head, **self.loss_options.get(name, {})) for name, head in heads.items()
        }

    def on_mesh(self, mesh: jax.sharding.Mesh | None) -> "Task":
        """The same task with its examples sharded over the devices of a mesh."""
        return replace(self, model=self.model.clone(mesh=mesh))


def init_state(task: Task, key: Array, batch: dict) -> TrainState:
    """Parameters and optimiser before the first step.

    The parameters have the type of the batch's waveforms, whatever JAX's default is. A per-bin
    affine input begins with the mean and scale of `batch`, the first batch (as in
    Kingma and Dhariwal, 2018: data-dependent initialisation); all else depends on the key alone.
    """
    magnitude = batch_targets(task, batch)["mixture_magnitude"]
    model = task.model.clone(mesh=None)
    params = model.init(key, magnitude[:1], train=False)["params"]
    params = jax.tree.map(lambda p: p.astype(magnitude.dtype), params)
    if task.model.input_scaling == "excerpt_db_affine":
        scaled = relative_db(magnitude)
        scale = 1 / jnp.maximum(scaled.std((0, 1)), 0.05)
        params["input_affine"] = {"scale": scale, "shift": -scaled.mean((0, 1)) * scale}
    return TrainState.create(params, task.optimizer)


def train_step(
    state: TrainState,
    batch: dict,
    key: Array,
    loss_weights: dict[str, Array],
    *,
    task: Task,
    mean_across_devices=lambda tree: tree,
) -> tuple[TrainState, dict[str, Array]]:
    """The state after one update on `batch`, and scalars for the log.

    Args:
        state: before the update.
        batch: sources int16 [b s n], gains [b s], notes int16 [b s m 3] (first, end, pitch), and
            where some sources have no labels `labelled` [b s], and where sources are filtered
            `equalisers` [b s k].
        key: the run's dropout key; the step number is folded in here.
        loss_weights: one array per loss, so that a change of weights needs no compilation.
        task: model, losses and optimiser.
        mean_across_devices: for pmap, the mean over its axis; gradients are clipped after it.

    Raises:
        ValueError: if the batch cannot be taken in `task.accumulation_steps` equal parts.
    """
    gradients = functools.partial(_gradients_of_batch, task, state, loss_weights)
    return _step(gradients, state, batch, key, task, mean_across_devices)


def step_on_targets(
    state: TrainState,
    targets: dict[str, Array],
    key: Array,
    loss_weights: dict[str, Array],
    *,
    task: Task,
) -> tuple[TrainState, dict[str, Array]]:
    """`train_step` on what `batch_targets` made of the batch."""
    gradients = functools.partial(_gradients, task, state, loss_weights)
    return _step(gradients, state, targets, key, task)


def _step(gradients, state, examples, key, task, mean_across_devices=lambda tree: tree):
    """One update by gradients(part of the examples, dropout key)."""
    dropout_key = jax.random.fold_in(key, state.step)
    accumulated = _mean_of_parts(gradients, examples, dropout_key, task.accumulation_steps)
    grads, loss, losses = mean_across_devices(accumulated)
    after, rate = state.apply_gradients(grads, task.optimizer)
    norm = optax.tree.norm(grads)
    metrics = {"loss": loss, **losses, "gradient_norm": norm, "learning_rate": rate}
    if state.skipped is None:
        return after, metrics
    after = state.update_if(jnp.isfinite(loss) & jnp.isfinite(norm), after)
    return after, metrics | {"skipped_updates": after.skipped}


def _gradients_of_batch(task, state, loss_weights, batch, dropout_key):
    return _gradients(task, state, loss_weights, batch_targets(task, batch), dropout_key)


def _gradients(task, state, loss_weights, targets, dropout_key):
    """Gradients of the mean loss of examples, that loss, and the mean loss of every head."""

    def mean_loss(params):
        features = task.model.apply(
            {"params": params},
            targets["mixture_magnitude"],
            train=True,
            rngs={"dropout": dropout_key},
            method="features",
        )
        total, losses = _head_losses(task, params, features, targets, loss_weights, state.step)
        return total.mean(), {name: values.mean() for name, values in losses.items()}

    (loss, losses), grads = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    return grads, loss, losses


def _mean_of_parts(gradients, batch, key, num_parts):
    """The mean of gradients(part, key) over equal parts of the batch, whose examples lie apart, so
    that every device has as many of each part. A part's key has its number folded in."""
    if num_parts == 1:
        return gradients(batch, key)
    size = len(jax.tree.leaves(batch)[0])
    if size % num_parts:
        raise ValueError(f"accumulation_steps: must divide the batch of {size}, got {num_parts}")
    split = jax.tree.map(lambda a: jnp.reshape(a, (-1, num_parts, *a.shape[1:])), batch)

    def of_part(number):
        part = jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, number, 1, False), split)
        return gradients(part, jax.random.fold_in(key, number))

    def add(sums, number):
        return jax.tree.map(jnp.add, sums, of_part(number)), None

    shapes = jax.eval_shape(of_part, 0)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    sums, _ = jax.lax.scan(add, zeros, jnp.arange(num_parts))
    return jax.tree.map(lambda total: total / num_parts, sums)


def eval_step(
    params: dict, batch: dict, loss_weights: dict[str, Array], *, task: Task
) -> dict[str, Float[Array, " b"]]:
    """'loss' and the loss of every head, per example: no dropout, every frame looked at."""
    targets = batch_targets(task, batch)
    features = task.model.apply(
        {"params": params}, targets["mixture_magnitude"], train=False, method="features"
    )
    heads = {name: replace(head, stride=1) for name, head in task.heads.items()}
    total, losses = _head_losses(task, params, features, targets, loss_weights, 0, heads=heads)
    return {"loss": total, **losses}


class Rolls(NamedTuple):
    """Probabilities that a key sounds, and that it is struck, of each of the r transcribed sources.

    Args:
        frames: what sounds.
        onsets: where notes begin; None where the network has no head for it.
    """

    frames: Float[Array | np.ndarray, "*b r t p"]
    onsets: Float[Array | np.ndarray, "*b r t p"] | None = None


def predict_step(
    params: dict,
    waveform: Float[Array, "b n"],
    db_reference: Float[Array, " b"] | None = None,
    *,
    model: Cerberus,
) -> tuple[Float[Array, "b s n"] | None, Rolls | None]:
    """Estimates and rolls of mixtures; None where the network has no such head."""
    spectrum = stft(waveform, model.grid)
    masks, rolls = masks_and_rolls(params, jnp.abs(spectrum), db_reference, model=model)
    estimates = None
    if masks is not None:
        masked = mask_kind(model).apply(masks, spectrum[:, None])
        estimates = istft(masked, model.grid, waveform.shape[-1])
    return estimates, rolls


def masks_and_rolls(
    params: dict,
    magnitude: Float[Array, "b t f"],
    db_reference: Float[Array, " b"] | None = None,
    *,
    model: Cerberus,
) -> tuple[Inexact[Array, "b s t f"] | None, Rolls | None]:
    """Masks and rolls of mixtures; None where the network has no such head."""
    names = {gives: head_giving(gives, model.heads) for gives in ("masks", "rolls", "onsets")}
    present = tuple(name for name in names.values() if name)
    output = model.apply(
        {"params": params}, magnitude, train=False, db_reference=db_reference, heads=present
    )
    heads = model.head_objects()
    masks, frames, onsets = (
        heads[name].predict(output.outputs[heads[name].output]) if name else None
        for name in names.values()
    )
    return masks, None if frames is None else Rolls(frames, onsets)


def mask_kind(model: Cerberus) -> MaskKind:
    """The kind of the network's masks; it must have a head that gives some."""
    return model.head_objects()[head_giving("masks", model.heads)].mask_kind


def batch_targets(task: Task, batch: dict) -> dict[str, Array]:
    """The targets of a batch, by microbatches: their spectra at once would not fit a cache."""
    heads, slots = task.heads.values(), task.model.transcribed_slots

    def of_excerpt(excerpt):
        sources = source_waveforms(excerpt["sources"], excerpt["gains"])
        return make_targets(
            sources,
            excerpt["notes"],
            grid=task.model.grid,
            heads=heads,
            transcribed=slots,
            labelled=excerpt.get("labelled"),
            equalisers=excerpt.get("equalisers"),
        )

    def make(batch):
        excerpts = jax.tree.map(lambda a: a[:, None], batch)
        targets = jax.lax.map(of_excerpt, excerpts, batch_size=task.microbatch_size)
        return jax.tree.map(lambda a: a[:, 0], targets)

    batch = jax.tree.map(jnp.asarray, batch)
    return per_device(make, task.model.mesh, (sharded(),), sharded())(batch)


def _head_losses(task, params, features, targets, loss_weights, first_frame, *, heads=None):
    heads = task.heads if heads is None else heads
    return head_losses(
        features,
        {head.submodule: params[head.submodule] for head in heads.values()},
        targets,
        loss_weights,
        microbatch_size=task.microbatch_size,
        heads=heads,
        precision=task.model.precision,
        mesh=task.model.mesh,
        first_frame=first_frame,
        zero_weights=task.zero_weights,
    )
