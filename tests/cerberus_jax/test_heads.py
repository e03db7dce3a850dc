"""The heads against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.heads import Head, embed, linear, masks

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
    found = embed(PARAMS, jnp.asarray(FEATURES), activation=activation)
    expected = function(LINEAR) / np.linalg.norm(function(LINEAR), axis=2, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_softmax_masks_sum_to_one():
    found = masks(PARAMS, jnp.asarray(FEATURES), activation="softmax")
    np.testing.assert_allclose(found.sum(2), 1, atol=1e-6)
    exps = np.exp(LINEAR)
    np.testing.assert_allclose(found, exps / exps.sum(2, keepdims=True), atol=1e-5)


def test_sigmoid_masks():
    found = masks(PARAMS, jnp.asarray(FEATURES), activation="sigmoid")
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-LINEAR)), atol=1e-5)


def test_zero_features_give_a_finite_embedding_and_gradient():
    params = jax.tree.map(jnp.zeros_like, PARAMS)
    total = lambda f: embed(params, f, activation="tanh").sum()  # noqa: E731
    value, grad = jax.value_and_grad(total)(jnp.zeros((1, 2, 6)))
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_head_gives_its_parameters():
    head = Head((3, 4))
    params = head.init(jax.random.key(0), 6)["params"]
    assert params["kernel"].shape == (6, 3, 4) and not params["bias"].any()
    # Glorot: the variance is 2 / (fan in + fan out).
    wide = Head((20, 30)).init(jax.random.key(0), 400)["params"]["kernel"]
    assert abs(float(wide.std()) / (2 / 1000) ** 0.5 - 1) < 0.02
