"""Targets from sources and notes, each computed a second way."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid
from cerberus_jax.joint_loss import DEFAULT_HEADS
from cerberus_jax.stft import stft
from cerberus_jax.targets import (
    bin_weights,
    dominant_source,
    draw_onsets,
    draw_rolls,
    make_targets,
    mask_targets,
    soften_onsets,
    source_waveforms,
)
from data_pipeline.planning.rolls import draw_roll

GRID = FrameGrid(16000, 64, 16)
RNG = np.random.default_rng(0)
NUM_FRAMES, NUM_NOTES = 20, 6

note = st.tuples(st.integers(0, NUM_FRAMES), st.integers(0, NUM_FRAMES), st.integers(21, 108)).map(
    lambda n: (min(n[0], n[1]), max(n[0], n[1]), n[2])
)
notes = st.lists(note, max_size=NUM_NOTES)


def _spectra():
    sources = RNG.standard_normal((2, 3, 500))
    return jnp.asarray(sources.sum(1)), jnp.asarray(sources)


def test_source_waveforms_scale_full_scale_to_one():
    sources = jnp.asarray([[[16384, -32768], [1, 0]]], jnp.int16)
    found = source_waveforms(sources, jnp.asarray([[1.0, 2.0]]))
    np.testing.assert_allclose(found, [[[0.5, -1.0], [2 / 32768, 0]]])


def test_phase_sensitive_target_by_angle():
    mixture, sources = _spectra()
    x, s = stft(mixture, GRID), stft(sources, GRID)
    found = mask_targets(x, s, kind="phase_sensitive")
    angle = np.angle(s) - np.angle(x)[:, None]
    expected = np.clip(np.abs(s) * np.cos(angle), 0, np.abs(x)[:, None])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_magnitude_target_and_unknown_kind():
    mixture, sources = _spectra()
    x, s = stft(mixture, GRID), stft(sources, GRID)
    np.testing.assert_allclose(mask_targets(x, s, kind="magnitude"), np.abs(s), atol=1e-5)
    with pytest.raises(ValueError, match="mask_target: one of"):
        mask_targets(x, s, kind="ratio")


def test_dominant_source_is_the_loudest():
    target = RNG.uniform(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(dominant_source(jnp.asarray(target)), target.argmax(1))


def test_bin_weights_are_free_of_level_and_zero_on_silence():
    magnitude = jnp.asarray(RNG.uniform(size=(2, 4, 5)), jnp.float32)
    expected = np.sqrt(magnitude / np.mean(magnitude, (1, 2), keepdims=True))
    np.testing.assert_allclose(bin_weights(magnitude), expected, rtol=1e-5)
    np.testing.assert_allclose(bin_weights(1000 * magnitude), expected, rtol=1e-5)
    assert not bin_weights(jnp.zeros((1, 4, 5))).any()


def _as_array(lists):
    rows = np.zeros((len(lists), NUM_NOTES, 3), np.int16)
    for k, rows_of in enumerate(lists):
        rows[k, : len(rows_of)] = np.array(rows_of, np.int16).reshape(-1, 3)
    return rows


@settings(deadline=None, max_examples=60)
@given(st.lists(notes, min_size=2, max_size=2))
def test_rolls_equal_the_numpy_rolls(lists):
    rows = _as_array(lists)
    found = np.asarray(draw_rolls(jnp.asarray(rows)[None], NUM_FRAMES))[0]
    for k in range(2):
        np.testing.assert_array_equal(found[k], draw_roll(rows[k], NUM_FRAMES))


def test_repeated_onsets_are_told_apart_and_short_notes_survive():
    rows = _as_array([[(2, 6, 60), (6, 9, 60), (3, 4, 70), (4, 5, 70)]])
    found = np.asarray(draw_rolls(jnp.asarray(rows)[None], NUM_FRAMES))[0, 0]
    np.testing.assert_array_equal(found[:10, 39], [0, 0, 1, 1, 1, 0, 1, 1, 1, 0])
    np.testing.assert_array_equal(found[2:6, 49], [0, 1, 1, 0])
    assert found.sum() == 8


@settings(deadline=None, max_examples=40)
@given(st.lists(notes, min_size=2, max_size=2), st.integers(1, 4))
def test_onsets_are_where_notes_begin(lists, width):
    rows = _as_array(lists)
    hard = np.zeros((2, NUM_FRAMES, 88), bool)
    soft = np.zeros(hard.shape)
    for k, of_source in enumerate(lists):
        for first, end, pitch in of_source:
            if end > first:
                hard[k, first, pitch - 21] = True
                for t in range(NUM_FRAMES):
                    value = max(0, 1 - abs(t - first) / width)
                    soft[k, t, pitch - 21] = max(soft[k, t, pitch - 21], value)
    found = draw_onsets(jnp.asarray(rows)[None], NUM_FRAMES)
    np.testing.assert_array_equal(found[0], hard)
    np.testing.assert_allclose(soften_onsets(found, width)[0], soft, atol=1e-6)


def test_what_began_before_the_excerpt_sounds_and_has_no_onset():
    rows = _as_array([[(-1, 4, 60), (0, 3, 70), (-1, 0, 80), (-1, 1, 90)]])
    from_zero = np.maximum(rows, 0)
    rolls = [np.asarray(draw_rolls(jnp.asarray(n)[None], NUM_FRAMES)) for n in (rows, from_zero)]
    np.testing.assert_array_equal(*rolls)
    np.testing.assert_array_equal(rolls[0][0, 0], draw_roll(rows[0], NUM_FRAMES))
    onsets = np.asarray(draw_onsets(jnp.asarray(rows)[None], NUM_FRAMES))
    assert np.argwhere(onsets).tolist() == [[0, 0, 0, 70 - 21]]


def test_make_targets_puts_it_together():
    mixture, sources = _spectra()
    rows = jnp.asarray(_as_array([[(1, 3, 40)]] * 6).reshape(2, 3, NUM_NOTES, 3))
    targets = make_targets(sources, rows, grid=GRID, heads=DEFAULT_HEADS.values())
    np.testing.assert_allclose(targets["mixture_magnitude"], np.abs(stft(mixture, GRID)), atol=1e-5)
    assert targets["mask_target"].shape == (2, 3, 32, 33)
    assert targets["roll"].shape == (2, 3, 32, 88) and int(targets["roll"].sum()) == 12
    # The targets of coherent sources cannot exceed the mixture in any bin.
    assert (targets["mask_target"] <= targets["mixture_magnitude"][:, None] + 1e-6).all()


def test_filtered_sources_are_what_the_mixture_and_the_targets_hold():
    """The same as filtering each source's spectrum, with curves interpolated another way."""
    _, sources = _spectra()
    rows = jnp.asarray(_as_array([[(1, 3, 40)]] * 6).reshape(2, 3, NUM_NOTES, 3))
    decibels = np.random.default_rng(3).uniform(-9, 9, (2, 3, 9)).astype(np.float32)
    targets = make_targets(
        sources,
        rows,
        grid=GRID,
        heads=[DEFAULT_HEADS["mask_inference"]],
        equalisers=jnp.asarray(decibels),
    )
    octave_of_bin = np.log2(np.maximum(np.arange(33) * 250, 40) / 40)
    spectra = np.asarray(stft(sources, GRID)).astype(np.complex128)
    for b in range(2):
        for s in range(3):
            curve = np.interp(octave_of_bin, np.arange(9), decibels[b, s])
            spectra[b, s] *= 10 ** (curve / 20)
    mixture = spectra.sum(1)
    np.testing.assert_allclose(targets["mixture_magnitude"], np.abs(mixture), rtol=1e-4, atol=1e-4)
    expected = mask_targets(
        jnp.asarray(mixture, jnp.complex64),
        jnp.asarray(spectra, jnp.complex64),
        kind="phase_sensitive",
    )
    np.testing.assert_allclose(targets["mask_target"], expected, rtol=1e-3, atol=1e-3)
