"""Masks at a song's own rate: the parts add up to it, whatever the rate, blocks and length."""

import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid
from cerberus_jax.masks.real import SOFTMAX
from cerberus_jax.native_rate import NativeGrid, SongSeparator, mono_blocks
from cerberus_jax.stft import istft, stft

GRID = FrameGrid(16000, 128, 32)
RATES = (8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000)


def separate(song, rate, masks_of, *, cuts=(), pieces=1, **options):
    """The sources of a song whose masks `masks_of(num_frames)` [s t f] gives."""
    separator = SongSeparator(NativeGrid(GRID, rate, **options), SOFTMAX)
    blocks = np.split(song, cuts, axis=1)
    mono = np.concatenate(
        list(mono_blocks(blocks, separator, from_hz=rate, to_hz=GRID.sample_rate_hz)), axis=1
    )
    masks = masks_of(GRID.num_frames(mono.shape[1]))
    found = [separator.apply(part) for part in np.array_split(masks, pieces, axis=1) if part.size]
    return np.concatenate([*found, separator.rest()], axis=2), mono


def random_masks(num_frames, *, num_sources=2, seed=0):
    masks = np.random.default_rng(seed).uniform(size=(num_sources, num_frames, GRID.num_bins))
    return (masks / masks.sum(0)).astype(np.float32)


def noise(*shape, seed=0):
    return (0.2 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def test_at_the_networks_rate_it_is_the_simple_path():
    song = noise(2, 5000)
    masks = random_masks(GRID.num_frames(5000))
    found, mono = separate(song, 16000, lambda _: masks, pieces=7)
    np.testing.assert_array_equal(mono, song.mean(0, keepdims=True))
    simple = istft(masks[:, None] * stft(jnp.asarray(song), GRID), GRID, 5000)
    np.testing.assert_allclose(found, simple, atol=2e-6)


@pytest.mark.parametrize("rate", [88200, 176400, 192000])
def test_every_length_within_a_hop_of_the_network(rate):
    hop = GRID.hop * rate // GRID.sample_rate_hz
    for num_samples in range(20 * hop, 21 * hop + 1):
        song = np.ones((1, num_samples), np.float32)
        found, _ = separate(song, rate, random_masks)
        assert found.shape == (2, 1, num_samples)
        np.testing.assert_allclose(found.sum(0), song, atol=3e-6)


def test_a_block_costs_no_more_the_more_samples_wait():
    """A song waits for its masks by minutes; only the new block is to be copied."""
    separator = SongSeparator(NativeGrid(GRID, 16000), SOFTMAX)
    block = noise(2, 16000)
    for _ in range(60):
        separator.feed(block)
    tracemalloc.start()
    try:
        separator.feed(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * block.nbytes


def test_the_samples_are_those_at_the_time_they_were_fed():
    """A reader may use one array for all its blocks."""
    song, masks = noise(1, 3000), random_masks(GRID.num_frames(3000))
    expected, _ = separate(song, 16000, lambda _: masks)
    separator, block = SongSeparator(NativeGrid(GRID, 16000), SOFTMAX), np.empty((1, 1000), "f4")
    for first in range(0, 3000, 1000):
        block[:] = song[:, first : first + 1000]
        separator.feed(block)
    separator.end()
    sources = np.concatenate([separator.apply(masks), separator.rest()], axis=2)
    np.testing.assert_array_equal(sources, expected)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(RATES),
    st.integers(1, 4000),
    st.lists(st.floats(0, 1), max_size=4),
    st.integers(1, 5),
)
def test_sources_of_masks_that_sum_to_one_sum_to_the_song(rate, num_samples, cuts, pieces):
    song = noise(2, num_samples, seed=num_samples)
    places = sorted(round(cut * num_samples) for cut in cuts)
    found, _ = separate(song, rate, random_masks, cuts=places, pieces=pieces)
    assert found.shape == (2, 2, num_samples)
    np.testing.assert_allclose(found.sum(0), song, atol=3e-6)


@pytest.mark.parametrize("rate", RATES)
def test_the_moments_are_the_networks(rate):
    """A mask that opens at one moment opens there at every rate."""
    song = np.ones((1, rate), np.float32)

    def opens(num_frames):
        masks = np.zeros((1, num_frames, GRID.num_bins), np.float32)
        masks[:, 250:] = 1  # frame 250 lies at 0.5 s
        return masks

    found, _ = separate(song, rate, opens)
    half = np.flatnonzero(found[0, 0] > 0.5)[0] / rate
    assert abs(half - 0.5) < GRID.hop / GRID.sample_rate_hz


@pytest.mark.parametrize(("rate", "hertz"), [(44100, 3000), (48000, 7000), (96000, 500)])
def test_the_frequencies_are_the_networks(rate, hertz):
    time = np.arange(rate // 2) / rate
    song = np.sin(2 * np.pi * hertz * time, dtype=np.float32)[None]

    def around(num_frames):
        bins = np.arange(GRID.num_bins) * 16000 / GRID.window
        near = np.abs(bins - hertz) < 400
        return np.stack([np.tile(near, (num_frames, 1)), np.tile(~near, (num_frames, 1))])

    found, _ = separate(song, rate, lambda n: around(n).astype(np.float32))
    middle = found[:, 0, 2000:-2000]
    near, far = np.square(middle).mean(1)
    assert near > 300 * far


def test_masks_are_extended_above_the_band_or_end():
    rate = 48000
    time = np.arange(rate // 2) / rate
    song = np.sin(2 * np.pi * 15000 * time, dtype=np.float32)[None]

    def low_and_high(num_frames):
        """The second source has the upper half of the network's band."""
        masks = np.zeros((2, num_frames, GRID.num_bins), np.float32)
        masks[0, :, : GRID.num_bins // 2] = 1
        masks[1, :, GRID.num_bins // 2 :] = 1
        return masks

    (low, high), _ = separate(song, rate, low_and_high)
    middle = slice(1000, -1000)  # at the ends the tone begins and stops: a click of all frequencies
    np.testing.assert_allclose(high[:, middle], song[:, middle], atol=1e-3)
    assert np.abs(low[:, middle]).max() < 1e-3
    found, _ = separate(song, rate, low_and_high, extend_masks=False)
    assert np.abs(found[..., middle]).max() < 1e-3


def test_frames_keep_the_networks_durations():
    full = FrameGrid(16000, 1024, 256)
    assert [NativeGrid(full, rate).window for rate in (8000, 16000, 48000)] == [512, 1024, 3072]
    assert NativeGrid(full, 44100).window / 44100 == pytest.approx(0.064, rel=0.005)
    centres = NativeGrid(full, 44100).centres(5 * 10**9, 6)
    assert (centres - 3528 * 10**9).tolist() == [0, 706, 1411, 2117, 2822, 3528]  # 705.6 each


def test_memory_does_not_grow_with_the_song():
    separator = SongSeparator(NativeGrid(GRID, 44100), SOFTMAX)
    sizes = []
    for _ in range(30):
        separator.feed(np.zeros((1, 4410), np.float32))
        separator.apply(random_masks(49))
        waiting = sum(block.shape[1] for block in separator._blocks)
        sizes.append(waiting + separator._sums.shape[2])
    assert max(sizes) < 3 * 4410


def test_a_song_of_nothing_gives_no_blocks():
    separator = SongSeparator(NativeGrid(GRID, 44100), SOFTMAX)
    assert not list(mono_blocks([], separator, from_hz=44100, to_hz=16000))


def test_the_bin_at_half_the_networks_rate_is_the_networks_own():
    """At 48 kHz a bin lies on 8 kHz exactly; only what is above it takes the mean of the band."""
    grid = NativeGrid(GRID, 48000)
    mask = np.linspace(0, 1, GRID.num_bins, dtype=np.float32)[None, None]
    resampled = grid.resample(mask)[0, 0]
    top = 8000 * grid.window // 48000
    assert resampled[top] == 1
    band = mask[0, 0, round(0.8 * (GRID.num_bins - 1)) : round(0.9 * (GRID.num_bins - 1)) + 1]
    np.testing.assert_allclose(resampled[top + 1 :], band.mean(), rtol=1e-6)
