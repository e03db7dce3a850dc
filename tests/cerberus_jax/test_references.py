"""What counts as 0 dB: a window's loudest bin, floored by the song and by full scale."""

import dataclasses
import logging

import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.references import (
    ABSOLUTE_FLOOR_DB,
    RELATIVE_FLOOR_DB,
    quiet_song,
    window_references,
)
from cerberus_jax.song_windows import window_spectrum
from cerberus_jax.steps import masks_and_rolls
from cerberus_jax.windows import WindowCutter
from tests.tiny_network import half_full_network, tiny_model

GRID = FrameGrid(16000, 1024, 256)
SINE = 256.0  # the largest magnitude of a sine of full scale


def references_of(levels_db, loudest_db=-np.inf):
    """References of windows whose loudest bins have these levels, and the song's, all in dB."""
    magnitude = np.zeros((len(levels_db), 3, GRID.num_bins), np.float32)
    magnitude[:, 1, 40] = SINE * 10 ** (np.array(levels_db) / 20)
    loudest = jnp.float32(SINE * 10 ** (loudest_db / 20))
    found, so_far = window_references(jnp.asarray(magnitude), loudest, GRID)
    return 20 * np.log10(np.asarray(found) / SINE), 20 * np.log10(float(so_far) / SINE)


def test_the_floors_are_those_of_the_documents():
    assert (RELATIVE_FLOOR_DB, ABSOLUTE_FLOOR_DB) == (-40, -60)


def test_a_window_counts_by_its_own_loudest_bin_down_to_the_floors():
    found, so_far = references_of([-5, -30, -50, -90])
    np.testing.assert_allclose(found, [-5, -30, -45, -45], atol=1e-3)
    assert so_far == pytest.approx(-5, abs=1e-3)
    found, _ = references_of([-30, -90, -25], loudest_db=-10)
    np.testing.assert_allclose(found, [-30, -50, -25], atol=1e-3)
    found, _ = references_of([-90, -30, -90])  # what comes later is not known in a stream
    np.testing.assert_allclose(found, [-60, -30, -60], atol=1e-3)


@pytest.fixture(scope="module")
def predictor():
    whole = Predictor.untrained(tiny_model())
    return dataclasses.replace(whole, window_seconds=0.5, context_seconds=0.1)


def _song(seconds=2.0, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(16000 * seconds))).astype(np.float32)


def test_an_ordinary_song_is_heard_as_before(predictor):
    """Each window by its own maximum, as the network takes it of itself."""
    song = _song() * np.linspace(0.2, 1, 32000, dtype=np.float32)
    found = predictor.predict(song, 16000).rolls
    cutter = WindowCutter.of(predictor.grid, window_seconds=0.5, context_seconds=0.1)
    for window in cutter.cut([song[None]]):
        magnitude = window_spectrum(window.samples, predictor.grid)
        _, rolls = masks_and_rolls(predictor.params, magnitude, None, model=predictor.model)
        expected = rolls.frames[0, :, cutter.context : cutter.context + window.num_frames]
        own = found[:, window.first_frame : window.first_frame + window.num_frames]
        np.testing.assert_allclose(own, expected, atol=1e-6)


def test_dither_after_music_is_not_heard_as_music(predictor):
    """In its windows the reference is 40 dB below the song's: the same as with a fixed one."""
    song = np.concatenate([_song(), _song(seed=1) * np.float32(1e-4)])
    loudest = predictor.song_db_reference([song[None]])
    by_song = dataclasses.replace(predictor, db_reference="song")
    pieces = by_song.predict_stream([song[None]], db_reference=loudest / 100)
    fixed = np.concatenate([rolls.frames for _, rolls in pieces], 1)
    tail = slice(round(2.8 * 500), round(3.8 * 500))
    np.testing.assert_allclose(
        predictor.predict(song, 16000).rolls[:, tail], fixed[:, tail], atol=1e-6
    )
    alone = predictor.predict(song[32000:] * np.float32(1e4), 16000).rolls
    assert np.abs(alone[:, 400:900] - fixed[:, 1400:1900]).max() > 1e-3


def test_a_fade_in_is_heard_as_quiet_as_it_is(predictor):
    """The maximum is known before the first window, in `predict`; a stream knows what has been."""
    song = np.concatenate([_song() * np.float32(1e-2), _song(seed=1)])
    found = predictor.predict(song * np.float32(10), 16000).rolls
    stream = predictor.predict_stream([song[None] * np.float32(10)])
    streamed = np.concatenate([rolls.frames for _, rolls in stream], 1)
    np.testing.assert_array_equal(found[:, 1200:], streamed[:, 1200:])
    song[:32000] *= np.float32(1e-2)
    found = predictor.predict(song, 16000).rolls
    loudest = predictor.song_db_reference([song[None]])
    by_song = dataclasses.replace(predictor, db_reference="song")
    pieces = by_song.predict_stream([song[None]], db_reference=loudest / 100)
    fixed = np.concatenate([rolls.frames for _, rolls in pieces], 1)
    np.testing.assert_allclose(found[:, :800], fixed[:, :800], atol=1e-6)


def test_a_very_quiet_song_is_said(predictor, caplog):
    assert quiet_song(None, GRID) == quiet_song(0.0, GRID) == quiet_song(SINE, GRID) == []
    assert "-80 dB" in quiet_song(SINE * 1e-4, GRID)[0]
    with caplog.at_level(logging.WARNING):
        predictor.predict(_song() * np.float32(1e-5), 16000)
    assert "very quiet" in caplog.text


def test_a_song_out_of_phase_is_separated_by_masks_of_each_channel(predictor, caplog):
    song = _song()
    with caplog.at_level(logging.WARNING):
        found = predictor.predict(np.stack([song, -song]), 16000)
    assert "out of phase" in caplog.text
    mono = predictor.predict(song, 16000)
    np.testing.assert_allclose(found.sources[:, 0], mono.sources[:, 0], atol=5e-3)
    np.testing.assert_allclose(found.sources[:, 1], -found.sources[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.sources.sum(0), np.stack([song, -song]), atol=2e-6)


def test_an_offset_changes_neither_sources_nor_rolls(predictor):
    predictor = half_full_network(predictor)
    time = np.arange(32000) / 16000
    song = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    expected = predictor.predict(song, 16000)
    found = predictor.predict(song + np.float32(0.3), 16000)
    np.testing.assert_allclose(found.sources, expected.sources, atol=2e-3)
    another = predictor.predict(_song(), 16000).rolls
    assert np.abs(another - expected.rolls).mean() > 1e-2
    assert np.abs(found.rolls - expected.rolls).mean() < 1e-3
