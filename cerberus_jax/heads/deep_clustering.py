"""Deep clustering: an embedding per bin, trained so that bins of one source lie together.

Its gradient is written by hand: with V the weighted embedding of an excerpt and Y its weighted
assignment, loss and gradient need only the small sums V'V and V'Y.
"""

import functools
from dataclasses import dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cerberus_jax import losses
from cerberus_jax.heads.base import Head, strided
from cerberus_jax.products import in_memory
from cerberus_jax.targets import (
    REAL_MASK_TARGETS,
    Mixture,
    bin_weights,
    dominant_source,
    mask_targets,
)

EMBEDDING_ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}

# Keeps the gradient of the unit norm finite where an embedding vanishes.
MIN_SQUARE = 1e-16


@dataclass(frozen=True, kw_only=True)
class DeepClustering(Head):
    """Embeddings [b t f d] of unit length along d (Hershey et al., 2016).

    Args:
        embedding_dim: d.
        embedding_activation: before the unit norm.
        target: the magnitude by which a bin's dominant source is chosen.
    """

    submodule: ClassVar[str] = "embedding_head"
    output: ClassVar[str] = "embedding"
    short_name: ClassVar[str] = "dc"
    gives: ClassVar[str] = "clusters"
    default_weight: ClassVar[float] = 0.1
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("embedding_dim", "embedding_activation")
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride", "target")

    embedding_dim: int = 20
    embedding_activation: str = field(
        default="sigmoid", metadata={"choices": EMBEDDING_ACTIVATIONS}
    )
    target: str = field(default="phase_sensitive", metadata={"choices": REAL_MASK_TARGETS})

    def shape(self) -> tuple[int, int]:
        """The embedding's dimensions and the bins."""
        return self.embedding_dim, self.context.num_bins

    def activate(self, raw: Float[Array, "b t d f"]) -> Float[Array, "b t f d"]:
        """The embedding."""
        return unit_vectors(raw, activation=self.embedding_activation).swapaxes(2, 3)

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """`assignment` [b t f]: index of each bin's dominant source; `source_slots` [b s]: all
        indices, which say how many sources there are."""
        magnitude = mask_targets(mixture.spectrum, mixture.source_spectra, kind=self.target)
        slots = jnp.broadcast_to(jnp.arange(magnitude.shape[1]), magnitude.shape[:2])
        return {"assignment": dominant_source(magnitude), "source_slots": slots}

    def loss(
        self, raw: Float[Array, "c t d f"], targets: dict[str, Array], first_frame: Array | int
    ) -> Float[Array, " c"]:
        """`losses.deep_clustering_loss` with the gradient written by hand."""
        pick = functools.partial(strided, stride=self.stride, first_frame=first_frame, axis=1)
        vectors = unit_vectors(raw, activation=self.embedding_activation)
        share = losses.normalised_weights(bin_weights(pick(targets["mixture_magnitude"])))
        slots = jnp.arange(targets["source_slots"].shape[1])
        labels = pick(targets["assignment"])[:, :, None] == slots[:, None]
        return _clustering(vectors, labels.astype(vectors.dtype), share[:, :, None])


def unit_vectors(raw: Float[Array, "*a d f"], *, activation: str) -> Float[Array, "*a d f"]:
    """The embedding layer's output, activated and brought to unit length along d."""
    raw = EMBEDDING_ACTIVATIONS[activation](raw)
    squares = jnp.sum(raw * raw, axis=-2, keepdims=True)
    return raw * jax.lax.rsqrt(squares + MIN_SQUARE)


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


def _clustering_backward(residuals, cotangent):
    """dL/dV = 4 w^2 (V (V'V) - Y (Y'V)), one product each; labels and weights are data."""
    vectors, labels, share, vv, vy = residuals
    scale = 4 * cotangent[:, None, None]
    inner = _each_frame(scale * vv, vectors) - _each_frame(scale * vy, labels)
    return inner * share, jnp.zeros_like(labels), jnp.zeros_like(share)


def _each_frame(matrix, frames):
    """matrix [b d e] @ frames [b t e f]. On a CPU the matrix is really repeated for every frame: a
    product with one that is only broadcast is left to scalar code by XLA, four times as slow."""
    matrix = jnp.broadcast_to(matrix[:, None], (*frames.shape[:2], *matrix.shape[1:]))
    return jnp.matmul(in_memory(matrix), frames)


_clustering.defvjp(_clustering_forward, _clustering_backward)
