"""The losses of some clips, from what the linear layers of the heads give out.

Deep clustering has a gradient written by hand: with V the weighted embedding of a clip and Y its
weighted assignment, loss and gradient need only the small sums V'V and V'Y.
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cerberus_jax import heads, losses
from cerberus_jax.products import in_memory
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

    def stride(self, loss: str) -> int:
        """Frames from one that `loss` looks at to the next."""
        strides = {
            "deep_clustering": self.deep_clustering_stride,
            "mask_inference": self.mask_inference_stride,
        }
        return strides.get(loss, 1)


def clip_losses(
    outputs: dict[str, Float[Array, "c _ k m"]],
    targets: Targets,
    options: HeadOptions,
    phase: Array | int,
) -> dict[str, Float[Array, " c"]]:
    """The loss of every head in `outputs`, per clip.

    Args:
        outputs: outputs of the heads' linear layers by the name of their loss, at the frames that
            `strided` picks.
        targets: of all frames.
        options: activations, kinds and strides.
        phase: the first frame of strided losses.
    """
    computed = {
        "deep_clustering": _deep_clustering,
        "mask_inference": _mask_inference,
        "transcription": _transcription,
    }
    return {
        name: computed[name](output, targets, options, phase) for name, output in outputs.items()
    }


def strided(array: Array, stride: int, phase: Array | int, axis: int) -> Array:
    """Every stride-th frame from `phase` on, the clip taken as a circle: so the number of frames is
    the same whatever the phase, and each gets its turn as the phase runs on."""
    if stride == 1:
        return array
    num_frames = max(array.shape[axis] // stride, 1)
    frames = (phase + stride * jnp.arange(num_frames)) % array.shape[axis]
    return jnp.take(array, frames, axis=axis, mode="clip")


def _deep_clustering(output, targets, options, phase):
    pick = functools.partial(strided, stride=options.stride("deep_clustering"), phase=phase, axis=1)
    vectors = heads.unit_vectors(output, activation=options.embedding_activation)
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
    weighted = in_memory(vectors * share)
    vv = in_memory(jnp.einsum("btdf,btef->btde", weighted, vectors)).sum(1)
    vy = in_memory(jnp.einsum("btdf,btsf->btds", weighted, labels)).sum(1)
    counts = (labels * share).sum((1, 3))
    loss = (vv * vv).sum((1, 2)) - 2 * (vy * vy).sum((1, 2)) + (counts * counts).sum(1)
    return loss, (vectors, labels, share, vv, vy)


def _clustering_backward(kept, cotangent):
    """dL/dV = 4 w^2 (V (V'V) - Y (Y'V)), one product each; labels and weights are data."""
    vectors, labels, share, vv, vy = kept
    scale = 4 * cotangent[:, None, None]
    inner = _each_frame(scale * vv, vectors) - _each_frame(scale * vy, labels)
    return inner * share, jnp.zeros_like(labels), jnp.zeros_like(share)


def _each_frame(matrix, frames):
    """matrix [b d e] @ frames [b t e f]. The matrix is really repeated for every frame: a product
    with one that is only broadcast is left to scalar code by XLA on CPUs, four times as slow."""
    matrix = jnp.broadcast_to(matrix[:, None], (*frames.shape[:2], *matrix.shape[1:]))
    return jnp.matmul(lax.optimization_barrier(matrix), frames)


_clustering.defvjp(_clustering_forward, _clustering_backward)


def _mask_inference(output, targets, options, phase):
    stride = options.stride("mask_inference")
    mask = heads.MASK_ACTIVATIONS[options.mask_activation](output)
    magnitude = strided(targets.mixture_magnitude, stride, phase, 1)
    target = strided(targets.target_magnitude, stride, phase, 2)
    return losses.mask_inference_loss(mask.swapaxes(1, 2), magnitude, target)


def _transcription(output, targets, options, phase):
    del phase
    return losses.transcription_loss(
        output.swapaxes(1, 2),
        targets.roll,
        kind=options.transcription_kind,
        normaliser=options.transcription_normaliser,
    )
