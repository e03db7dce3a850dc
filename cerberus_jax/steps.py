"""One training step, one evaluation step, one prediction step: plain functions of arrays.

They see the whole batch and know nothing of devices; parallel.py spreads them. The frame a strided
loss begins with advances by one each step, so that every frame gets its turn.
"""

from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cerberus_jax.clip_losses import HeadOptions
from cerberus_jax.heads import HEAD_OF_LOSS
from cerberus_jax.joint_loss import head_losses
from cerberus_jax.model import Cerberus, relative_db
from cerberus_jax.per_device import per_device, sharded
from cerberus_jax.stft import istft, stft
from cerberus_jax.targets import make_targets, source_waveforms
from cerberus_jax.train_state import OptimizerConfig, TrainState


@dataclass(frozen=True)
class Task:
    """Everything static about a training run: what is trained, on what, and how."""

    model: Cerberus
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    options: HeadOptions = field(default_factory=HeadOptions)
    mask_target: str = "phase_sensitive"
    microbatch_size: int = 1

    def on_mesh(self, mesh: jax.sharding.Mesh | None) -> "Task":
        """The same task with its clips spread over the devices of a mesh."""
        return replace(
            self, model=self.model.clone(mesh=mesh), options=replace(self.options, mesh=mesh)
        )


def init_state(task: Task, key: Array, batch: dict) -> TrainState:
    """Parameters and optimiser before the first step.

    A per-bin affine input begins with the mean and scale of `batch`, the first batch (as in
    Kingma and Dhariwal, 2018: data-dependent initialisation); all else depends on the key alone.
    """
    magnitude = _targets(task, batch).mixture_magnitude
    model = task.model.clone(mesh=None)
    params = model.init(key, magnitude[:1], train=False)["params"]
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
        batch: sources int16 [b s n], gains [b s], notes int16 [b s m 3] (first, end, pitch).
        key: the run's dropout key; the step number is folded in here.
        loss_weights: one array per loss, so that a change of weights needs no compilation.
        task: model, losses and optimiser.
        mean_across_devices: for pmap, the mean over its axis; gradients are clipped after it.
    """
    targets = _targets(task, batch)
    dropout_key = jax.random.fold_in(key, state.step)

    def mean_loss(params):
        features = task.model.apply(
            {"params": params},
            targets.mixture_magnitude,
            train=True,
            rngs={"dropout": dropout_key},
            method="features",
        )
        total, parts = _head_losses(task, params, features, targets, loss_weights, state.step)
        return total.mean(), {name: part.mean() for name, part in parts.items()}

    (loss, parts), grads = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    grads, loss, parts = mean_across_devices((grads, loss, parts))
    state, rate = state.apply_gradients(grads, task.optimizer)
    norm = optax.tree.norm(grads)
    return state, {"loss": loss, **parts, "gradient_norm": norm, "learning_rate": rate}


def eval_step(
    params: dict, batch: dict, loss_weights: dict[str, Array], *, task: Task
) -> dict[str, Float[Array, " b"]]:
    """'loss' and the loss of every head, per example: no dropout, every frame looked at."""
    targets = _targets(task, batch)
    features = task.model.apply(
        {"params": params}, targets.mixture_magnitude, train=False, method="features"
    )
    options = replace(task.options, deep_clustering_stride=1, mask_inference_stride=1)
    task = replace(task, options=options)
    total, parts = _head_losses(task, params, features, targets, loss_weights, 0)
    return {"loss": total, **parts}


def predict_step(
    params: dict,
    waveform: Float[Array, "b n"],
    reference: Float[Array, " b"] | None = None,
    *,
    model: Cerberus,
) -> tuple[Float[Array, "b s n"] | None, Float[Array, "b s t p"] | None]:
    """Estimates and roll probabilities of mixtures; None where the network has no such head."""
    spectrum = stft(waveform, model.grid)
    wanted = tuple(name for name in model.heads if name != "deep_clustering")
    output = model.apply(
        {"params": params}, jnp.abs(spectrum), train=False, reference=reference, heads=wanted
    )
    estimates = None
    if output.mask is not None:
        estimates = istft(output.mask * spectrum[:, None], model.grid, waveform.shape[-1])
    rolls = None if output.roll_logits is None else jax.nn.sigmoid(output.roll_logits)
    return estimates, rolls


def _targets(task, batch):
    """The targets of a batch, some clips a turn: their spectra at once would not fit a cache."""

    def of_clip(clip):
        sources = source_waveforms(clip["sources"], clip["gains"])
        return make_targets(
            sources, clip["notes"], grid=task.model.grid, mask_target=task.mask_target
        )

    def make(batch):
        clips = jax.tree.map(lambda a: a[:, None], batch)
        found = jax.lax.map(of_clip, clips, batch_size=task.microbatch_size)
        return jax.tree.map(lambda a: a[:, 0], found)

    batch = jax.tree.map(jnp.asarray, batch)
    return per_device(make, task.options.mesh, (sharded(),), sharded())(batch)


def _head_losses(task, params, features, targets, loss_weights, phase):
    names = [HEAD_OF_LOSS[loss] for loss in task.model.heads]
    return head_losses(
        features,
        {name: params[name] for name in names},
        targets,
        loss_weights,
        microbatch_size=task.microbatch_size,
        options=task.options,
        phase=phase,
    )
