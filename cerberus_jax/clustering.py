"""Masks from embeddings by k-means, for networks without a mask head.

Only bins within 40 dB of the loudest choose the centres (the embedding of a quiet bin means
nothing); every bin is then given to the nearest. Which cluster is which instrument, k-means cannot
know.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32
from scipy.optimize import linear_sum_assignment


@functools.partial(
    jax.jit, static_argnames=("num_sources", "floor_db", "num_iterations", "num_restarts")
)
def cluster_masks(
    embedding: Float[Array, "t f d"],
    mixture_magnitude: Float[Array, "t f"],
    *,
    num_sources: int,
    key: PRNGKeyArray | UInt32[Array, "2"],
    floor_db: float = 40.0,
    num_iterations: int = 30,
    num_restarts: int = 4,
) -> Float[Array, "s t f"]:
    """One binary mask per cluster; they sum to one in every bin.

    Args:
        embedding: one vector per time-frequency bin.
        mixture_magnitude: magnitude spectrum of the mixture.
        num_sources: number of clusters.
        key: JAX random key; the same key gives the same masks.
        floor_db: bins further below the maximum do not move the centres.
        num_iterations: of Lloyd's algorithm.
        num_restarts: seedings (k-means++) tried; the one with the smallest inertia is kept.
    """
    points = embedding.reshape(-1, embedding.shape[-1])
    magnitude = mixture_magnitude.reshape(-1)
    weights = (magnitude >= 10 ** (-floor_db / 20) * magnitude.max()).astype(points.dtype)
    solve = functools.partial(
        _k_means, points, weights, num_clusters=num_sources, num_iterations=num_iterations
    )
    centres, inertias = jax.lax.map(solve, jax.random.split(key, num_restarts))
    nearest = _distances(points, centres[jnp.argmin(inertias)]).argmin(0)
    mask = jax.nn.one_hot(nearest, num_sources, axis=0, dtype=points.dtype)
    return mask.reshape(num_sources, *mixture_magnitude.shape)


def best_permutation(similarity: Float[np.ndarray, "s s"]) -> Int[np.ndarray, " s"]:
    """The cluster of each source for which the summed similarity [source, cluster] is largest."""
    return linear_sum_assignment(similarity, maximize=True)[1]


def _k_means(points, weights, key, *, num_clusters, num_iterations):
    centres = _seed(points, weights, key, num_clusters)

    def step(centres, _):
        nearest = _distances(points, centres).argmin(0)
        members = jax.nn.one_hot(nearest, num_clusters, axis=0, dtype=points.dtype) * weights
        counts = members.sum(-1, keepdims=True)
        moved = jnp.matmul(members, points, precision="highest") / jnp.maximum(counts, 1)
        return jnp.where(counts > 0, moved, centres), None

    centres, _ = jax.lax.scan(step, centres, length=num_iterations)
    return centres, (weights * _distances(points, centres).min(0)).sum()


def _seed(points, weights, key, num_clusters):
    """k-means++: each further centre is drawn with odds of its squared distance to the nearest."""
    keys = jax.random.split(key, num_clusters)
    first = points[jax.random.categorical(keys[0], jnp.log(weights))]
    centres = jnp.broadcast_to(first, (num_clusters, points.shape[-1]))

    def add(centres, position_and_key):
        position, key = position_and_key
        odds = weights * _distances(points, centres).min(0)
        odds = jnp.where(odds.sum() > 0, odds, weights)
        chosen = points[jax.random.categorical(key, jnp.log(odds))]
        return centres.at[position].set(chosen), None

    return jax.lax.scan(add, centres, (jnp.arange(1, num_clusters), keys[1:]))[0]


def _distances(points, centres) -> Float[Array, "s n"]:
    """Squared distances by one product; rounding leaves about 1e-6 of the squared norms."""
    products = jnp.matmul(centres, points.T, precision="highest")
    norms = (centres**2).sum(-1)[:, None] + (points**2).sum(-1)
    return jnp.maximum(norms - 2 * products, 0)
