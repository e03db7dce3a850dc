"""Random curves of the equaliser against numpy's interpolation."""

import numpy as np
import pytest

from cerberus_jax.equaliser import OCTAVES_HZ, curve_weights
from cerberus_jax.frames import FrameGrid


@pytest.mark.parametrize(
    "grid", [FrameGrid(), FrameGrid(44100, 4096, 1024), FrameGrid(8000, 64, 32)]
)
def test_curves_are_linear_in_decibels_and_octaves(grid):
    decibels = np.random.default_rng(0).uniform(-9, 9, (3, len(OCTAVES_HZ)))
    hertz = np.arange(grid.num_bins) * grid.sample_rate_hz / grid.window
    found = decibels @ curve_weights(grid)
    for row, values in zip(found, decibels, strict=True):
        expected = np.interp(np.log2(np.maximum(hertz, 1)), np.log2(OCTAVES_HZ), values)
        np.testing.assert_allclose(row, expected, atol=1e-9)
