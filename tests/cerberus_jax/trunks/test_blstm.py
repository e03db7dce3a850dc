"""The trunk: shapes, initial values, dropout."""

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax.trunks.blstm import BLSTM, dropout
from tests.tiny_network import GRID

X = {"scaled": jnp.asarray(np.random.default_rng(0).standard_normal((3, 9, 6)), jnp.float32)}


def _features(trunk, params, inputs, **settings):
    return trunk.apply(params, inputs, **settings)["features"]


def _trunk(**changes):
    trunk = BLSTM(grid=GRID, **{"layers": 3, "hidden": 4, "dropout": 0.5} | changes)
    return trunk, trunk.init(jax.random.key(0), X, train=False)


def test_shapes_and_initial_biases():
    trunk, params = _trunk()
    assert _features(trunk, params, X, train=False).shape == (3, 9, 8)
    layer = params["params"]["layer_1"]
    assert layer["input_kernel"].shape == (2, 8, 16)
    assert layer["recurrent_kernel"].shape == (2, 4, 16)
    np.testing.assert_array_equal(layer["bias"][0], [0] * 4 + [1] * 4 + [0] * 8)


def test_dropout_acts_only_in_training_and_between_layers():
    trunk, params = _trunk()
    calm = _features(trunk, params, X, train=False)
    np.testing.assert_array_equal(calm, _features(trunk, params, X, train=False))
    dropped = [
        _features(trunk, params, X, train=True, rngs={"dropout": jax.random.key(k)})
        for k in (0, 0, 1)
    ]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    assert (dropped[0] != dropped[2]).any() and (dropped[0] != 0).all()


def test_dropout_drops_that_share_and_keeps_the_mean():
    features = jnp.ones((40, 50, 60))
    found = np.asarray(dropout(jax.random.key(0), features, 0.3))
    np.testing.assert_allclose(np.unique(found), [0, 1 / 0.7], rtol=1e-6)
    assert abs((found == 0).mean() - 0.3) < 0.01  # 7 standard deviations
    # Both features that share 32 bits decide by themselves.
    pairs = (found == 0).reshape(-1, 2)
    assert abs(pairs.all(1).mean() - 0.09) < 0.01


def test_dropout_in_float64():
    with jax.enable_x64(True):
        dropped = dropout(jax.random.key(0), jnp.ones((4, 6), jnp.float64), 0.5)
        assert dropped.dtype == jnp.float64 and set(np.unique(dropped)) == {0.0, 2.0}


def test_one_layer_has_no_dropout():
    trunk, params = _trunk(layers=1)
    trained = _features(trunk, params, X, train=True, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(trained, _features(trunk, params, X, train=False))


def test_reversing_time_swaps_the_directions():
    trunk, params = _trunk(layers=1)
    mirrored = {"scaled": X["scaled"][:, ::-1]}
    swapped = jax.tree.map(lambda a: a[::-1], params)
    forward = _features(trunk, params, X, train=False)
    backward = _features(trunk, swapped, mirrored, train=False)[:, ::-1]
    np.testing.assert_allclose(forward[..., :4], backward[..., 4:], atol=1e-6)
