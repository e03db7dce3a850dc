"""The signal that is analysed: the mean to the last bit, but for what cancels and offsets."""

import inspect
import tracemalloc

import numpy as np
import pytest

from cerberus_jax.analysis_signal import AnalysisSignal

RATE = 16000
TIMES = np.arange(6 * RATE) / RATE
MIDDLE = slice(RATE, -RATE)


def noise(*shape, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tone(hz, amplitude=0.2):
    return (amplitude * np.sin(2 * np.pi * hz * TIMES)).astype(np.float32)


def heard(song, *, rate=RATE, cuts=()):
    """The signal, the channels that go with it, and what made them."""
    signal = AnalysisSignal(rate)
    mono, channels = zip(*signal.of(np.split(song, cuts, axis=1)), strict=True)
    mono, channels = np.concatenate(mono), np.concatenate(channels, axis=1)
    assert mono.shape == song.shape[1:] and channels.shape == song.shape
    assert mono.dtype == channels.dtype == np.float32
    return mono, channels, signal


def difference_db(found, expected):
    return 20 * np.log10(np.std(found - expected) / np.std(expected) + 1e-9)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize(
    "gains",
    [
        [[1]],
        [[1], [1]],
        [[1], [0.2]],
        [[1], [0]],
        [[1, 0], [0, 1]],
        [[1, 0.3], [0.3, 1]],
        [[1, 0], [0.5, 0], [0, 0], [0, 0.7], [0, 1], [0, 0]],
    ],
)
def test_ordinary_channels_give_their_mean_to_the_last_bit(gains, rate):
    gains = np.array(gains, np.float32)
    song = gains @ noise(gains.shape[1], 5 * rate)
    mono, channels, signal = heard(song, rate=rate)
    np.testing.assert_array_equal(mono, song.mean(0))
    np.testing.assert_array_equal(channels, song)
    assert signal.cancelled == signal.subsonic == 0 and signal.doubts() == []


@pytest.mark.parametrize("rate", [1, 2, 3])
def test_the_lowest_rates_lose_no_sample(rate):
    mono, channels, _ = heard(noise(2, 50), rate=rate)
    assert mono.shape == (50,) and channels.shape == (2, 50)


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([1, -1], 1.0),
        ([1, -0.8], 0.9),
        ([-0.9, 1], -0.95),
        ([0, 0, 1, -1, 0, 0], 2 / 6),
        ([0.5, 0.5, -0.5, -0.5], 0.5),
    ],
)
def test_channels_that_cancel_are_as_loud_as_in_phase(gains, expected):
    source = noise(6 * RATE)
    mono, channels, signal = heard(np.outer(gains, source).astype(np.float32))
    assert difference_db(mono, expected * source) < -35  # the topmost bin is never filled
    np.testing.assert_array_equal(channels, np.outer(gains, source).astype(np.float32))
    assert signal.cancelled > 0.99
    assert "out of phase" in signal.doubts()[0]


def test_an_instrument_out_of_phase_beside_others():
    """Guitar tones inverted on the right, a louder piano in phase between them."""
    piano = tone(262, 0.3) + tone(523, 0.1)
    guitar = tone(330) + tone(660, 0.1) + tone(990, 0.05)
    mono, channels, signal = heard(np.stack([piano + guitar, piano - guitar]))
    assert difference_db(mono[MIDDLE], (piano + guitar)[MIDDLE]) < -25
    np.testing.assert_array_equal(channels[0], piano + guitar)
    powers = [np.square(part).mean() for part in (piano, guitar)]
    assert signal.cancelled == pytest.approx(powers[1] / sum(powers), abs=0.02)


def test_one_part_of_the_spectrum_cancels():
    low, high = tone(200) + tone(400), tone(3000)
    mono, _, _ = heard(np.stack([low + high, high - low]))
    assert difference_db(mono[MIDDLE], (low + high)[MIDDLE]) < -30


def test_one_part_of_the_time_cancels():
    source = noise(6 * RATE)
    right = source.copy()
    right[2 * RATE : 4 * RATE] *= -1
    mono, _, signal = heard(np.stack([source, right]))
    inside = slice(round(2.3 * RATE), round(3.7 * RATE))
    assert difference_db(mono[inside], source[inside]) < -35
    np.testing.assert_array_equal(mono[:RATE], source[:RATE])
    np.testing.assert_array_equal(mono[5 * RATE :], source[5 * RATE :])
    assert signal.cancelled == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("offset", [0.3, -0.05])
def test_an_offset_is_left_out(channels, offset):
    source = tone(220) + tone(880, 0.1)
    song = np.stack([source + np.float32(offset)] * channels)
    mono, without, signal = heard(song)
    for found in (mono, *without):
        assert difference_db(found[MIDDLE], source[MIDDLE]) < -55
        assert difference_db(found, source) < -40  # what is mirrored at the ends is no sine
    power = np.square(source).mean()
    assert signal.subsonic == pytest.approx(offset**2 / (offset**2 + power), rel=0.1)
    assert "offset" in signal.doubts()[0]


def test_offsets_of_opposite_signs_and_rumble_are_left_out():
    source = tone(220)
    song = np.stack([source + np.float32(0.2), source - np.float32(0.2)])
    mono, _, _ = heard(song)
    assert difference_db(mono[MIDDLE], source[MIDDLE]) < -55
    mono, _, signal = heard((source + tone(4, 0.5))[None])
    assert difference_db(mono[MIDDLE], source[MIDDLE]) < -35
    assert signal.subsonic > 0.8


def test_a_low_note_is_no_offset():
    """The lowest string of a bass, and the lowest key of a piano."""
    for hz in (41.2, 27.5):
        mono, _, _ = heard(tone(hz)[None])
        np.testing.assert_array_equal(mono[MIDDLE], tone(hz)[MIDDLE])


def test_rounding_to_sixteen_bits_is_no_music_out_of_phase():
    steps = np.random.default_rng(0).integers(-1, 2, 5 * RATE) / np.float32(32768)
    song = np.stack([steps, -steps]).astype(np.float32)
    mono, _, _ = heard(song)
    np.testing.assert_array_equal(mono, song.mean(0))


@pytest.mark.parametrize("num_samples", [1, 2, 5, 100, 3000, 20000])
def test_blocks_do_not_matter(num_samples):
    song = np.stack([noise(num_samples) + 0.2, -noise(num_samples)])
    mono, channels, _ = heard(song)
    for cuts in ([num_samples // 2], [1, 7, min(9000, num_samples)], [0, 0]):
        again = heard(song, cuts=np.minimum(cuts, num_samples))
        np.testing.assert_array_equal(again[0], mono)
        np.testing.assert_array_equal(again[1], channels)


def test_memory_does_not_grow_with_the_song():
    block = np.stack([noise(RATE) + 0.1, -noise(RATE)])
    peaks = []
    for seconds in (10, 40):
        tracemalloc.start()
        for _ in AnalysisSignal(RATE).of(block for _ in range(seconds)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_what_is_no_song_is_refused():
    assert list(AnalysisSignal(RATE).of([np.zeros((2, 0), np.float32)])) == []
    for value in (np.nan, np.inf):
        song = noise(2, 100)
        song[1, 50] = value
        with pytest.raises(ValueError, match="every sample must be finite"):
            list(AnalysisSignal(RATE).of([song]))
    with pytest.raises(ValueError, match="2 channels expected, got 1"):
        list(inspect.unwrap(AnalysisSignal.of)(AnalysisSignal(RATE), [noise(2, 9), noise(1, 9)]))
