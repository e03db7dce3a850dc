"""Pictures show what sounds, when, and are real PNG files."""

import io

import matplotlib
import matplotlib.image
import numpy as np
import pytest

from experiments.songs.spectrogram import MAX_COLUMNS, NUM_ROWS, Spectrogram, png


def picture(samples, rate, cuts=()):
    found = Spectrogram(rate, len(samples))
    for block in np.split(samples, cuts):
        found.add(block)
    return found.decibels()


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_tone_is_where_it_sounds(rate):
    time = np.arange(4 * rate) / rate
    tone = (np.sin(2 * np.pi * 1000 * time) * (time > 2)).astype(np.float32)
    found = picture(tone, rate)
    assert found.shape == (NUM_ROWS, 200)
    assert found[:, :95].max() < -60 < found[:, 105:].max()
    row = found[:, 150].argmax()
    edges = np.geomspace(40, min(16000, rate / 2), NUM_ROWS + 1)
    assert edges[row] * 0.93 < 1000 < edges[row + 1] * 1.07


def test_blocks_do_not_matter():
    noise = np.random.default_rng(0).standard_normal(30000).astype(np.float32)
    whole = picture(noise, 16000)
    np.testing.assert_allclose(picture(noise, 16000, cuts=(1, 50, 20000)), whole, atol=1e-4)


@pytest.mark.parametrize("num_samples", [1, 10, 500])
def test_short_songs(num_samples):
    assert np.isfinite(picture(np.ones(num_samples, np.float32), 44100)).all()


def test_long_songs_have_a_bounded_picture():
    found = Spectrogram(1000, 10**6)
    for _ in range(100):
        found.add(np.zeros(10**4, np.float32))
        assert len(found._buffer) < 2 * 10**4
    assert found.decibels().shape == (NUM_ROWS, MAX_COLUMNS)


@pytest.mark.parametrize("block", [999, 4096, 10**6])
def test_what_sounds_late_in_a_long_song_is_drawn_there(block):
    """Frames lie further apart than a window is long: samples between them are dropped."""
    samples = np.zeros(10**6, np.float32)
    samples[900_000:901_000] = np.sin(np.arange(1000))
    found = picture(samples, 1000, cuts=range(block, len(samples), block))
    loud = np.flatnonzero(found.max(0) > -20)
    assert loud.size and set(loud) <= {2699, 2700, 2701, 2702, 2703}


def test_the_file_is_a_png_with_high_frequencies_above():
    decibels = np.array([[-100.0, -70.0], [-35.0, 0.0], [0.0, 0.0]])
    image = matplotlib.image.imread(io.BytesIO(png(decibels, top_db=0.0)))
    assert image.shape[:2] == (3, 2)
    magma = matplotlib.colormaps["magma"](np.linspace(0, 1, 64))[:, :3]
    np.testing.assert_allclose(image[..., :3][2], magma[[0, 0]], atol=0.5 / 255)
    np.testing.assert_allclose(image[..., :3][0], magma[[-1, -1]], atol=0.5 / 255)
    np.testing.assert_allclose(image[..., :3][1, 0], magma[32], atol=0.5 / 255)
