"""Products at both precisions, against float64 and against products of rounded factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.products import batched_product, product, transposed_product

RNG = np.random.default_rng(0)


def _normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


def _factors(array, precision):
    rounded = array if precision == "float32" else array.astype(jnp.bfloat16)
    return np.asarray(rounded, np.float64)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_values_are_those_of_the_factors_in_float64(precision):
    a, b, c = _normal(6, 5), _normal(5, 4), _normal(6, 3)
    rounded = [_factors(array, precision) for array in (a, b, c)]
    found = product(a, b, precision)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, rounded[0] @ rounded[1], atol=1e-5)
    found = jax.jit(transposed_product, static_argnums=2)(a, c, precision)
    np.testing.assert_allclose(found, rounded[0].T @ rounded[2], atol=1e-5)
    found = batched_product(jnp.stack([a, a]), jnp.stack([b, 2 * b]), precision)
    np.testing.assert_allclose(found[1], rounded[0] @ (2 * rounded[1]), atol=1e-5)


def test_bfloat16_gradients_are_products_of_rounded_factors():
    a, b, cotangent = _normal(6, 5), _normal(5, 4), _normal(6, 4)
    a_grad, b_grad = jax.vjp(lambda a, b: product(a, b, "bfloat16"), a, b)[1](cotangent)
    a64, b64, c64 = (_factors(array, "bfloat16") for array in (a, b, cotangent))
    np.testing.assert_allclose(a_grad, c64 @ b64.T, atol=1e-5)
    np.testing.assert_allclose(b_grad, a64.T @ c64, atol=1e-5)


def test_bfloat16_sums_in_float32():
    ones = jnp.ones((1, 4096), jnp.float32)
    assert float(product(ones, ones.T, "bfloat16")[0, 0]) == 4096
    assert float(transposed_product(ones.T, ones.T, "bfloat16")[0, 0]) == 4096


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_vmap(precision):
    a, b = _normal(3, 6, 5), _normal(3, 6, 4)
    found = jax.vmap(lambda a, b: transposed_product(a, b, precision))(a, b)
    np.testing.assert_allclose(found[2], transposed_product(a[2], b[2], precision), atol=1e-5)
