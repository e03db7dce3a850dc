"""The training path through the heads: outputs, losses and gradients together, some clips a turn.

Deep clustering needs only small sums over a clip, so the gradient of a clip is known as soon as the
clip has been looked at. The forward pass therefore takes it there and then, and no array of
embeddings outlives its turn: memory does not grow with the batch.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cerberus_jax import heads, losses
from cerberus_jax.per_device import ALIKE, examples, per_device
from cerberus_jax.targets import Targets, bin_weights


@dataclass(frozen=True)
class HeadOptions:
    """How heads and losses are computed; all static.

    `deep_clustering_stride` and `mask_inference_stride`: the loss looks at one frame in so many,
    from a random first one. `mesh`: the devices the clips are spread over, None for one device.
    """

    embedding_activation: str = "sigmoid"
    mask_activation: str = "softmax"
    transcription_kind: str = "mse"
    transcription_normaliser: str = "cells"
    deep_clustering_stride: int = 1
    mask_inference_stride: int = 1
    precision: str = "float32"
    mesh: jax.sharding.Mesh | None = None


def head_losses(
    features: Float[Array, "b t h"],
    head_params: dict,
    targets: Targets,
    loss_weights: dict[str, Array],
    *,
    clips_per_turn: int,
    options: HeadOptions = HeadOptions(),
    phase: Array | int = 0,
) -> tuple[Float[Array, " b"], dict[str, Float[Array, " b"]]]:
    """Weighted sum of the losses of the heads in `head_params`, per example.

    Args:
        features: the trunk's output.
        head_params: parameters of the heads that exist, by submodule name.
        targets: see targets.py.
        loss_weights: one weight per loss, as arrays; a zero weight leaves its loss out.
        clips_per_turn: examples looked at together; it must divide the batch of one device.
        options: activations, kinds and strides.
        phase: which frame a strided loss begins with (taken modulo the stride).

    Returns:
        total, and the unweighted loss of every head for the log (no gradient flows through it).
    """
    if features.shape[0] % clips_per_turn:
        raise ValueError(
            f"clips_per_turn: must divide the batch of {features.shape[0]}, got {clips_per_turn}"
        )
    weights = {name: loss_weights[name] for name in heads.HEAD_OF_LOSS if _has(head_params, name)}
    settings = (options, clips_per_turn)
    total, parts = _head_losses(settings, features, head_params, weights, targets, phase)
    return total, jax.tree.map(lax.stop_gradient, parts)


def _has(head_params, loss):
    return heads.HEAD_OF_LOSS[loss] in head_params


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _head_losses(settings, features, head_params, weights, targets, phase):
    def body(features, targets, head_params, weights, phase, _):
        def turn(_, items):
            parts = _parts(settings[0], items[0], head_params, items[1], phase)
            return None, (_weighted(parts, weights), parts)

        turns = _turns(settings, (features, targets))
        return None, _clips(lax.scan(turn, None, turns)[1])

    ones = jnp.ones(features.shape[0], features.dtype)
    return _on_devices(settings, body)(features, targets, head_params, weights, phase, ones)[1]


def _forward(settings, features, head_params, weights, targets, phase):
    args = (features, targets, head_params, weights, phase)
    ones = jnp.ones(features.shape[0], features.dtype)
    grads, (total, parts, feature_grad) = _with_gradients(settings)(*args, ones)
    return (total, parts), (args, parts, feature_grad, grads)


def _backward(settings, kept, cotangents):
    """Scales the gradients of the plain sum over examples by the cotangent, which training makes
    equal for all of them; cotangents that differ take a second pass that weighs each example."""
    args, parts, feature_grad, grads = kept
    cotangent = cotangents[0]

    def equal(_):
        return jax.tree.map(lambda g: g * cotangent[0], grads)

    def different(example_weights):
        return _with_gradients(settings)(*args, example_weights)[0]

    same = jnp.all(cotangent == cotangent[0])
    head_grads = lax.cond(same, equal, different, cotangent)
    weight_grads = {
        name: jnp.where(args[3][name] > 0, (parts[name] * cotangent).sum(), 0) for name in parts
    }
    return feature_grad * cotangent[:, None, None], head_grads, weight_grads, None, None


_head_losses.defvjp(_forward, _backward)


def _with_gradients(settings):
    """A function of a batch and of one weight per example that gives
    (summed head gradients, (totals, parts, feature gradients))."""

    def body(features, targets, head_params, weights, phase, example_weights):
        def turn(grads, items):
            clip_features, clip_targets, clip_weights = items

            def loss(head_params, clip_features):
                parts = _parts(settings[0], clip_features, head_params, clip_targets, phase)
                total = _weighted(parts, weights)
                return (total * clip_weights).sum(), (total, parts)

            found, (head_grads, feature_grad) = jax.value_and_grad(loss, (0, 1), has_aux=True)(
                head_params, clip_features
            )
            return jax.tree.map(jnp.add, grads, head_grads), (*found[1], feature_grad)

        zeros = jax.tree.map(jnp.zeros_like, head_params)
        turns = _turns(settings, (features, targets, example_weights))
        grads, found = lax.scan(turn, zeros, turns)
        if settings[0].mesh is not None:
            grads = lax.psum(grads, "data")
        return grads, _clips(found)

    return _on_devices(settings, body)


def _on_devices(settings, body):
    clips = examples()
    specs = (clips, clips, ALIKE, ALIKE, ALIKE, clips)
    return per_device(body, settings[0].mesh, specs, (ALIKE, clips))


def _turns(settings, tree):
    """[b ...] -> [turns clips ...]; on several devices b is the local batch."""
    return jax.tree.map(lambda a: a.reshape(-1, settings[1], *a.shape[1:]), tree)


def _clips(tree):
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), tree)


def _weighted(parts, weights):
    """Sum of the parts; a zero weight selects, so that nothing at all of its loss is left."""
    return sum(jnp.where(weights[name] > 0, weights[name] * parts[name], 0) for name in parts)


def _parts(options, features, head_params, targets, phase):
    """The losses of the heads that exist, each [clips]."""
    computed = {
        "deep_clustering": _deep_clustering,
        "mask_inference": _mask_inference,
        "transcription": _transcription,
    }
    return {
        name: function(options, features, head_params[heads.HEAD_OF_LOSS[name]], targets, phase)
        for name, function in computed.items()
        if _has(head_params, name)
    }


def _strided(array, stride, phase, axis):
    """Every stride-th frame from `phase` on; the same number of frames whatever the phase."""
    if stride == 1:
        return array
    num_frames = max(array.shape[axis] // stride, 1)
    frames = phase % stride + stride * jnp.arange(num_frames)
    return jnp.take(array, frames, axis=axis, mode="clip")


def _deep_clustering(options, features, params, targets, phase):
    stride = options.deep_clustering_stride
    pick = functools.partial(_strided, stride=stride, phase=phase, axis=1)
    vectors = heads.embed(
        params,
        pick(features),
        activation=options.embedding_activation,
        precision=options.precision,
    )
    share = losses.normalised_weights(bin_weights(pick(targets.mixture_magnitude)))
    num_sources = targets.target_magnitude.shape[1]
    labels = pick(targets.assignment)[:, :, None] == jnp.arange(num_sources)[:, None]
    return _clustering(vectors, labels.astype(vectors.dtype), share[:, :, None])


@jax.custom_vjp
def _clustering(vectors, labels, share):
    """Deep clustering of vectors [b t d f] and one-hot labels [b t s f]; share [b t 1 f] is the
    normalised weight of each bin."""
    return _clustering_forward(vectors, labels, share)[0]


def _clustering_forward(vectors, labels, share):
    weighted = vectors * share
    vv = jnp.einsum("btdf,btef->btde", weighted, vectors).sum(1)
    vy = jnp.einsum("btdf,btsf->btds", weighted, labels).sum(1)
    counts = (labels * share).sum((1, 3))
    loss = (vv * vv).sum((1, 2)) - 2 * (vy * vy).sum((1, 2)) + (counts * counts).sum(1)
    return loss, (vectors, labels, share, vv, vy)


def _clustering_backward(kept, cotangent):
    """dL/dV = 4 w^2 (V (V'V) - Y (Y'V)), one product each; labels and weights are data."""
    vectors, labels, share, vv, vy = kept
    scale = 4 * cotangent[:, None, None]
    inner = jnp.matmul((scale * vv)[:, None], vectors) - jnp.matmul((scale * vy)[:, None], labels)
    return inner * share, jnp.zeros_like(labels), jnp.zeros_like(share)


_clustering.defvjp(_clustering_forward, _clustering_backward)


def _mask_inference(options, features, params, targets, phase):
    stride = options.mask_inference_stride
    pick = functools.partial(_strided, stride=stride, phase=phase, axis=1)
    mask = heads.masks(
        params, pick(features), activation=options.mask_activation, precision=options.precision
    )
    target = _strided(targets.target_magnitude, stride, phase, 2)
    return losses.mask_inference_loss(mask.swapaxes(1, 2), pick(targets.mixture_magnitude), target)


def _transcription(options, features, params, targets, phase):
    del phase
    logits = heads.linear(params, features, precision=options.precision)
    return losses.transcription_loss(
        logits.swapaxes(1, 2),
        targets.roll,
        kind=options.transcription_kind,
        normaliser=options.transcription_normaliser,
    )
