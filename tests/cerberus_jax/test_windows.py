"""Cutting: the windows hold every frame of the song once, with its surroundings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid
from cerberus_jax.stft import hann
from cerberus_jax.windows import WindowCutter

GRID = FrameGrid(16000, 64, 16)
CUTTER = WindowCutter(GRID, keep=10, context=3)


def _spectra(blocks):
    """Those of every kept frame."""
    pieces = []
    for window in CUTTER.cut(blocks):
        assert window.samples.shape[1] == CUTTER.length
        starts = GRID.hop * np.arange(CUTTER.context, CUTTER.context + window.num_frames)
        frames = np.stack([window.samples[:, k : k + GRID.window] for k in starts], axis=1)
        pieces.append(np.fft.rfft(frames * hann(GRID.window)))
    return np.concatenate(pieces, axis=1)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 2000), st.lists(st.floats(0, 1), max_size=5), st.integers(1, 2))
def test_the_frames_of_the_song_whatever_its_length_and_blocks(num_samples, cuts, channels):
    song = np.random.default_rng(num_samples).standard_normal((channels, num_samples))
    song = song.astype(np.float32)
    places = sorted(round(cut * num_samples) for cut in cuts)
    spectra = _spectra(np.split(song, places, axis=1))
    np.testing.assert_allclose(spectra, _whole(song), atol=1e-4)


def _whole(song):
    """The spectra of a song at once, in numpy, as test_stft.py has them: no length is compiled."""
    half, num_samples = GRID.window // 2, song.shape[1]
    mode = "reflect" if num_samples > half else "constant"
    padded = np.pad(song, ((0, 0), (half, half)), mode=mode)
    starts = GRID.hop * np.arange(GRID.num_frames(num_samples))
    frames = np.stack([padded[:, k : k + GRID.window] for k in starts], axis=1)
    return np.fft.rfft(frames * hann(GRID.window))


def test_memory_does_not_grow_with_the_song():
    """No window waits for the end of the song."""
    consumed = []

    def blocks():
        for k in range(100):
            consumed.append(k)
            yield np.ones((1, 100), np.float32)

    first = next(CUTTER.cut(blocks()))
    assert first.first_frame == 0 and len(consumed) < 10


def test_windows_say_where_they_lie():
    windows = list(CUTTER.cut([np.zeros((1, 640), np.float32)]))
    assert [w.first_frame for w in windows] == [0, 10, 20, 30, 40]
    assert [w.num_frames for w in windows] == [10, 10, 10, 10, 1]


def test_context_holds_the_samples_around_the_kept_frames():
    song = np.arange(1, 2001, dtype=np.float32)[None]
    windows = list(CUTTER.cut([song]))
    for window in windows[1:-2]:
        start = (window.first_frame - CUTTER.context) * GRID.hop - GRID.window // 2
        np.testing.assert_array_equal(window.samples, song[:, start : start + CUTTER.length])


def test_bad_lengths_and_empty_songs_are_refused():
    with pytest.raises(ValueError, match="window_seconds: must be more than twice"):
        WindowCutter.of(GRID, window_seconds=1.0, context_seconds=0.5)
    with pytest.raises(ValueError, match="blocks: the song has no samples"):
        list(CUTTER.cut([]))
