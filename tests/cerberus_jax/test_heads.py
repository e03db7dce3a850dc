"""The heads against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.heads.base import Linear, linear
from cerberus_jax.heads.deep_clustering import DeepClustering
from cerberus_jax.masks import MASK_KINDS

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((2, 5, 6)).astype(np.float32)
PARAMS = {
    "kernel": jnp.asarray(RNG.standard_normal((6, 3, 4)), jnp.float32),
    "bias": jnp.asarray(RNG.standard_normal((3, 4)), jnp.float32),
}
LINEAR = np.einsum("bth,hkm->btkm", FEATURES, PARAMS["kernel"]) + np.asarray(PARAMS["bias"])


def test_linear():
    np.testing.assert_allclose(linear(PARAMS, jnp.asarray(FEATURES)), LINEAR, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "function"), [("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("tanh", np.tanh)]
)
def test_embeddings_have_unit_norm(activation, function):
    head = DeepClustering(embedding_activation=activation)
    values = head.activate(linear(PARAMS, jnp.asarray(FEATURES)))
    expected = function(LINEAR) / np.linalg.norm(function(LINEAR), axis=2, keepdims=True)
    np.testing.assert_allclose(values, expected.swapaxes(2, 3), atol=1e-5)


def test_softmax_masks_sum_to_one():
    values = MASK_KINDS["softmax"].activation(linear(PARAMS, jnp.asarray(FEATURES)))
    np.testing.assert_allclose(values.sum(2), 1, atol=1e-6)
    exps = np.exp(LINEAR)
    np.testing.assert_allclose(values, exps / exps.sum(2, keepdims=True), atol=1e-5)


def test_sigmoid_masks():
    values = MASK_KINDS["sigmoid"].activation(linear(PARAMS, jnp.asarray(FEATURES)))
    np.testing.assert_allclose(values, 1 / (1 + np.exp(-LINEAR)), atol=1e-5)


def test_zero_features_give_a_finite_embedding_and_gradient():
    params = jax.tree.map(jnp.zeros_like, PARAMS)
    head = DeepClustering(embedding_activation="tanh")
    total = lambda f: head.activate(linear(params, f)).sum()  # noqa: E731
    value, grad = jax.value_and_grad(total)(jnp.zeros((1, 2, 6)))
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_head_gives_its_parameters():
    params = Linear((3, 4)).init(jax.random.key(0), 6)["params"]
    assert params["kernel"].shape == (6, 3, 4) and not params["bias"].any()
    # Glorot: the variance is 2 / (fan in + fan out).
    wide = Linear((20, 30)).init(jax.random.key(0), 400)["params"]["kernel"]
    assert abs(float(wide.std()) / (2 / 1000) ** 0.5 - 1) < 0.02
