"""Masks that sum to one by construction."""

import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.masks import MASK_KINDS
from cerberus_jax.masks.consistent import consistent

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["softmax", "real", "complex"])
def test_they_sum_to_one(kind):
    kind = MASK_KINDS[kind]
    masks = kind.activation(jnp.asarray(RNG.normal(0, 3, (2, 4, 3 * kind.outputs_per_mask, 5))))
    assert masks.shape == (2, 4, 3, 5) and jnp.iscomplexobj(masks) == kind.is_complex
    np.testing.assert_allclose(masks.sum(2), 1, atol=1e-5)


def test_consistency_is_the_projection_onto_masks_that_sum_to_one():
    """The least-squares solution under the constraint, by its normal equations."""
    masks = RNG.normal(0, 2, (3, 7))
    system = np.block([[np.eye(3), np.ones((3, 1))], [np.ones((1, 3)), np.zeros((1, 1))]])
    nearest = np.linalg.solve(system, np.vstack([masks, np.ones((1, 7))]))[:3]
    np.testing.assert_allclose(consistent(jnp.asarray(masks)), nearest, atol=1e-5)


def test_real_masks_may_lie_above_one_and_below_zero():
    masks = MASK_KINDS["real"].activation(jnp.asarray([[3.0], [0.0], [-1.0]]))
    np.testing.assert_allclose(masks[:, 0], np.array([3, 0, -1]) - 1 / 3, atol=1e-6)


def test_complex_masks_pair_real_and_imaginary_outputs():
    raw = np.array([[1.0], [2.0], [3.0], [4.0]])
    masks = MASK_KINDS["complex"].activation(jnp.asarray(raw))
    np.testing.assert_allclose(
        masks[:, 0], np.array([1 + 2j, 3 + 4j]) + (1 - 4 - 6j) / 2, atol=1e-6
    )
