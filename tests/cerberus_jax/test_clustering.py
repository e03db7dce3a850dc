import itertools

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax.clustering import best_permutation, cluster_masks

SHAPE = (20, 33)


def clustered(rng, num_sources, spread=0.05, dim=6):
    """Embeddings around well separated unit vectors, and the cluster of each bin."""
    centres = np.linalg.qr(rng.standard_normal((dim, dim)))[0][:num_sources]
    owner = rng.integers(num_sources, size=SHAPE)
    points = centres[owner] + spread * rng.standard_normal((*SHAPE, dim))
    return points.astype(np.float32), owner


def agreement(mask, owner):
    """Share of bins on the right side under the best naming of the clusters."""
    found = mask.argmax(0)
    names = range(len(mask))
    return max(np.mean(np.array(order)[found] == owner) for order in itertools.permutations(names))


def masks_of(points, magnitude, num_sources, seed=0):
    return np.asarray(
        cluster_masks(
            jnp.asarray(points),
            jnp.asarray(magnitude, jnp.float32),
            num_sources=num_sources,
            key=jax.random.key(seed),
        )
    )


def test_separated_clusters_are_found():
    rng = np.random.default_rng(0)
    for num_sources in (2, 3, 5):
        points, owner = clustered(rng, num_sources)
        mask = masks_of(points, np.ones(SHAPE), num_sources)
        assert mask.shape == (num_sources, *SHAPE)
        np.testing.assert_array_equal(mask.sum(0), 1)
        assert agreement(mask, owner) == 1


def test_quiet_bins_do_not_move_the_centres():
    rng = np.random.default_rng(1)
    points, owner = clustered(rng, 2)
    magnitude = np.ones(SHAPE)
    quiet = rng.random(SHAPE) < 0.6
    points[quiet] = 30 + rng.standard_normal((quiet.sum(), points.shape[-1]))
    magnitude[quiet] = 10 ** (-41 / 20)
    mask = masks_of(points, magnitude, 2)
    assert agreement(mask[:, ~quiet], owner[~quiet]) == 1
    magnitude[quiet] = 10 ** (-39 / 20)
    mask = masks_of(points, magnitude, 2)
    assert agreement(mask[:, ~quiet], owner[~quiet]) < 0.9


def test_the_same_key_gives_the_same_masks():
    points, _ = clustered(np.random.default_rng(2), 3, spread=0.8)
    first, again = (masks_of(points, np.ones(SHAPE), 3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_silence_and_identical_points_are_finite():
    points = np.ones((*SHAPE, 4), np.float32)
    for magnitude in (np.zeros(SHAPE), np.ones(SHAPE)):
        mask = masks_of(points, magnitude, 3)
        np.testing.assert_array_equal(mask.sum(0), 1)


def test_best_permutation_against_trying_all():
    rng = np.random.default_rng(3)
    for num_sources in (1, 2, 4, 5, 7):
        similarity = rng.standard_normal((num_sources, num_sources)).astype(np.float32)
        found = best_permutation(similarity)
        sums = {
            order: similarity[np.arange(num_sources), order].sum()
            for order in itertools.permutations(range(num_sources))
        }
        assert tuple(found.tolist()) == max(sums, key=sums.get)


def test_best_permutation_of_as_many_as_there_are_classes():
    order = np.random.default_rng(4).permutation(20)
    np.testing.assert_array_equal(best_permutation(np.eye(20)[order]), order)
