"""The losses against their definitions written out."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.losses import (
    deep_clustering_loss,
    mask_inference_loss,
    normalised_weights,
    onset_loss,
    transcription_loss,
)

RNG = np.random.default_rng(0)
B, T, F, D, S = 3, 4, 5, 6, 2


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def _clustering_inputs():
    embedding = RNG.standard_normal((B, T, F, D))
    embedding /= np.linalg.norm(embedding, axis=-1, keepdims=True)
    assignment = np.eye(S)[RNG.integers(0, S, (B, T, F))]
    return embedding, assignment, RNG.uniform(size=(B, T, F))


def test_deep_clustering_equals_the_affinity_form():
    embedding, assignment, weights = _clustering_inputs()
    expected = []
    for v, y, w in zip(embedding, assignment, weights, strict=True):
        v, y, w = v.reshape(-1, D), y.reshape(-1, S), np.diag(w.ravel())
        affinity = w @ (v @ v.T - y @ y.T) @ w
        expected.append(np.linalg.norm(affinity) ** 2 / (w**2).sum() ** 2)
    found = deep_clustering_loss(*map(jnp.asarray, (embedding, assignment, weights)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_un_squared_norms_would_give_another_value():
    """The bug of a public implementation, invisible where the embedding is perfect."""
    embedding, assignment, weights = map(jnp.asarray, _clustering_inputs())
    share = normalised_weights(weights)[..., None]
    norm = lambda a, b: jnp.linalg.norm(  # noqa: E731
        jnp.einsum("btfd,btfe->bde", a * share, b), axis=(1, 2)
    )
    wrong = norm(embedding, embedding) - 2 * norm(embedding, assignment)
    wrong += norm(assignment, assignment)
    assert (jnp.abs(wrong - deep_clustering_loss(embedding, assignment, weights)) > 0.01).all()
    np.testing.assert_allclose(deep_clustering_loss(assignment, assignment, weights), 0, atol=1e-15)


def test_mask_inference_by_hand_and_free_of_level():
    mask, target = RNG.uniform(size=(2, B, S, T, F))
    mixture = RNG.uniform(size=(B, T, F))
    expected = np.abs(mask * mixture[:, None] - target).mean((1, 2, 3)) / mixture.mean((1, 2))
    arrays = [jnp.asarray(a) for a in (mask, mixture, target)]
    np.testing.assert_allclose(mask_inference_loss(*arrays), expected, rtol=1e-12)
    louder = mask_inference_loss(arrays[0], 50 * arrays[1], 50 * arrays[2])
    np.testing.assert_allclose(louder, expected, rtol=1e-12)


def test_transcription_by_hand():
    logits = RNG.standard_normal((B, S, T, 88))
    roll = RNG.uniform(size=logits.shape) < 0.1
    probability = 1 / (1 + np.exp(-logits))
    square = (probability - roll) ** 2
    entropy = -np.where(roll, np.log(probability), np.log1p(-probability))
    args = (jnp.asarray(logits), jnp.asarray(roll))
    np.testing.assert_allclose(transcription_loss(*args), square.mean((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(
        transcription_loss(*args, kind="bce"), entropy.mean((1, 2, 3)), rtol=1e-12
    )
    active = transcription_loss(*args, normaliser="active")
    np.testing.assert_allclose(active, square.sum((1, 2, 3)) / roll.sum((1, 2, 3)), rtol=1e-12)
    empty = transcription_loss(args[0], jnp.zeros_like(args[1]), normaliser="active")
    floor = 0.005 * roll[0].size
    np.testing.assert_allclose(empty, (probability**2).sum((1, 2, 3)) / floor, rtol=1e-12)


def test_the_loss_of_onsets_by_hand():
    """Cell by cell; a wider target counts its onsets, not its sum."""
    logits = RNG.standard_normal((B, S, T, 88))
    onsets = RNG.uniform(size=logits.shape) < 0.02
    soft = np.where(onsets, 1.0, 0.5 * (RNG.uniform(size=logits.shape) < 0.1))
    labelled = np.array([[True, True], [True, False], [False, False]])
    for target, known in ((onsets, None), (soft, None), (soft, labelled)):
        for kind in ("mse", "bce"):
            expected = np.zeros(B)
            for k in range(B):
                used = [s for s in range(S) if known is None or known[k, s]]
                num_onsets = sum(int(onsets[k, s].sum()) for s in used)
                least = 0.001 * len(used) * T * 88
                pairs = zip(logits[k, used].ravel(), 1.0 * target[k, used].ravel(), strict=True)
                for x, y in pairs:
                    p = 1 / (1 + np.exp(-x))
                    log = -y * np.log(p) - (1 - y) * np.log(1 - p)
                    expected[k] += (p - y) ** 2 if kind == "mse" else log
                expected[k] /= max(num_onsets, least) if used else 1
            args = (jnp.asarray(logits), jnp.asarray(target))
            found = onset_loss(
                *args, kind=kind, labelled=None if known is None else jnp.asarray(known)
            )
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    empty = onset_loss(jnp.asarray(logits), jnp.zeros(logits.shape))
    probability = 1 / (1 + np.exp(-logits))
    least = 0.001 * logits[0].size
    np.testing.assert_allclose(empty, (probability**2).sum((1, 2, 3)) / least, rtol=1e-12)


def test_silence_is_zero_with_finite_gradients():
    embedding, assignment, weights = map(jnp.asarray, _clustering_inputs())
    silent = jnp.zeros_like(weights)
    mask = jnp.full((B, S, T, F), 0.5)

    def total(embedding, mask, silent):
        clustering = deep_clustering_loss(embedding, assignment, silent)
        return (clustering + mask_inference_loss(mask, silent, jnp.zeros_like(mask))).sum()

    value, grads = jax.value_and_grad(total, (0, 1, 2))(embedding, mask, silent)
    assert value == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_examples_do_not_influence_each_other():
    arrays = [jnp.asarray(a) for a in _clustering_inputs()]
    alone = jnp.concatenate(
        [deep_clustering_loss(*(a[k : k + 1] for a in arrays)) for k in range(B)]
    )
    np.testing.assert_allclose(deep_clustering_loss(*arrays), alone, rtol=1e-12)


def test_misfitting_shapes_and_unknown_kinds_are_refused():
    embedding, assignment, weights = map(jnp.asarray, _clustering_inputs())
    # Without the shape checks of the tests, which would be first to notice.
    bare = inspect.unwrap(deep_clustering_loss)
    with pytest.raises(ValueError, match="weights: the shape"):
        bare(embedding, assignment, weights[:, :, :3])
    roll = jnp.zeros((B, S, T, 88))
    with pytest.raises(ValueError, match="kind: one of"):
        transcription_loss(roll, roll, kind="l1")
    with pytest.raises(ValueError, match="onset_loss: onsets: the shape"):
        inspect.unwrap(onset_loss)(roll, roll[:, :1])
    with pytest.raises(ValueError, match="normaliser: one of"):
        transcription_loss(roll, roll, normaliser="notes")
