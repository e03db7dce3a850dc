"""The recurrence against a plain loop, values and gradients in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.lstm import bidirectional_lstm
from cerberus_jax.products import product

T, B, D, H = 7, 3, 5, 4


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def _weights(seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(T, B, D), (2, D, 4 * H), (2, H, 4 * H), (2, 4 * H)]
    return tuple(jnp.asarray(rng.standard_normal(shape)) for shape in shapes)


def _loop(inputs, input_kernel, recurrent_kernel, bias):
    """The textbook LSTM, one time step after the other."""
    directions = []
    for d, order in enumerate([range(T), reversed(range(T))]):
        hidden, cell, outputs = jnp.zeros((B, H)), jnp.zeros((B, H)), {}
        for t in order:
            gates = inputs[t] @ input_kernel[d] + hidden @ recurrent_kernel[d] + bias[d]
            i, f, g, o = jnp.split(gates, 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            outputs[t] = hidden
        directions.append(jnp.stack([outputs[t] for t in range(T)]))
    return jnp.concatenate(directions, axis=-1)


def test_values_equal_the_loop():
    np.testing.assert_allclose(bidirectional_lstm(*_weights()), _loop(*_weights()), atol=1e-14)


def test_gradients_equal_autodiff_of_the_loop():
    cotangent = jnp.asarray(np.random.default_rng(1).standard_normal((T, B, 2 * H)))
    ours = jax.grad(lambda *a: (bidirectional_lstm(*a) * cotangent).sum(), range(4))(*_weights())
    loop = jax.grad(lambda *a: (_loop(*a) * cotangent).sum(), range(4))(*_weights())
    for found, expected in zip(ours, loop, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_works_under_vmap_over_the_weights():
    stacked = jax.tree.map(lambda a, b: jnp.stack([a, b]), _weights(0), _weights(1))
    together = jax.vmap(bidirectional_lstm)(*stacked)
    for k, seed in enumerate((0, 1)):
        np.testing.assert_allclose(together[k], bidirectional_lstm(*_weights(seed)), atol=1e-14)


def test_bfloat16_products_stay_close():
    weights = tuple(a.astype(jnp.float32) for a in _weights())
    exact = bidirectional_lstm(*weights)
    rounded = bidirectional_lstm(*weights, precision="bfloat16")
    assert rounded.dtype == jnp.float32
    assert 0 < float(jnp.abs(rounded - exact).max()) < 0.05


def test_bfloat16_product_sums_in_float32():
    ones = jnp.ones((1, 4096), jnp.float32)
    assert float(product(ones, ones.T, "bfloat16")[0, 0]) == 4096
