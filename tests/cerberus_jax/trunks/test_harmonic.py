"""The harmonic trunk: its filters and stack against loops, and what its shared weights promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.trunks.base import FEATURES, PITCHES
from cerberus_jax.trunks.harmonic import (
    LOWEST_POSITION,
    NUM_POSITIONS,
    SHIFTS,
    Harmonic,
    harmonic_stack,
    semitone_filters,
)

GRID = FrameGrid(16000, 2048, 512)


def _hz(pitch):
    return 440 * 2 ** ((pitch - 69) / 12)


def test_filters_weigh_to_one_below_half_the_rate_and_are_zero_above():
    sums = semitone_filters(GRID).sum(0)
    below = _hz(LOWEST_POSITION + np.arange(NUM_POSITIONS)) < 8000
    np.testing.assert_allclose(sums, below, atol=1e-12)
    assert 0 < below.sum() < NUM_POSITIONS


@pytest.mark.parametrize("pitch", [45, 57, 69, 100])
def test_a_tone_is_loudest_at_its_own_semitone(pitch):
    tone = np.sin(2 * np.pi * _hz(pitch) / 16000 * np.arange(2048)) * np.hanning(2048)
    energies = np.abs(np.fft.rfft(tone)) @ semitone_filters(GRID)
    assert LOWEST_POSITION + energies.argmax() == pitch


def test_a_filter_is_a_triangle_that_reaches_its_neighbours():
    weights = semitone_filters(GRID)[:, 69 - LOWEST_POSITION]
    bins = np.arange(GRID.num_bins) * 16000 / 2048
    triangle = np.interp(bins, [2 * 440 - _hz(70), 440, _hz(70)], [0, 1, 0])
    np.testing.assert_allclose(weights, triangle / triangle.sum(), atol=1e-12)


def test_stack_shows_every_pitch_its_harmonics():
    energies = np.random.default_rng(0).standard_normal((2, 3, NUM_POSITIONS))
    stack = np.asarray(harmonic_stack(jnp.asarray(energies)))
    for pitch in (21, 60, 108):
        for channel, shift in enumerate(SHIFTS):
            expected = energies[..., pitch + shift - LOWEST_POSITION].astype(np.float32)
            np.testing.assert_array_equal(stack[:, :, pitch - 21, channel], expected)


def test_shapes_and_what_a_pitch_learns_holds_for_all(monkeypatch):
    """Energies moved up by a semitone give the features of every pitch a semitone higher."""
    trunk = Harmonic(grid=GRID, hidden=6, channels=3, pitch_units=5)
    inputs = {
        name: jnp.asarray(np.random.default_rng(1).uniform(0, 1, (2, 7, GRID.num_bins)))
        for name in ("scaled", "relative_magnitude")
    }
    params = trunk.init(jax.random.key(0), inputs, train=False)
    features = trunk.apply(params, inputs, train=False)
    assert features[FEATURES].shape == (2, 7, 12) and features[PITCHES].shape == (2, 7, 88, 3)

    filters = semitone_filters(GRID)
    higher = np.roll(filters, 1, axis=1)
    monkeypatch.setattr("cerberus_jax.trunks.harmonic.semitone_filters", lambda grid: higher)
    moved = trunk.apply(params, inputs, train=False)
    inner = slice(5, 80)  # away from the borders, where convolutions see padding
    before = features[PITCHES][:, :, inner]
    after = moved[PITCHES][:, :, inner.start + 1 : inner.stop + 1]
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert np.abs(before).max() > 0.1
