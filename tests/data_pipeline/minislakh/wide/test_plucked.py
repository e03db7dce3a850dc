"""The plucked string: its pitch, its losses, its place."""

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.wide.plucked import PluckedString

RATE = 16000
PLAIN = PluckedString(3.0, 4000, 3000, 0.2, 0.0, 1e-12, 0.1, 0.0, 0.0, 1)


def play(string, pitch, *, onset=0.5, offset=1.9, num_samples=40000):
    notes = Notes(np.array([[onset, offset]]), np.array([pitch]), np.array([100]))
    return string.play(Part("x", 25, False, notes), num_samples, RATE)


def amplitude(sound, hertz):
    """Of a partial, by the Fourier sum over a whole second of it."""
    times = np.arange(len(sound)) / RATE
    return abs(np.sum(sound * np.hanning(len(sound)) * np.exp(-2j * np.pi * hertz * times)))


def test_it_is_the_loop_of_karplus_and_strong():
    """Against the recursion y[n] = e[n] + g y[n - N], where the period is a whole number."""
    string = PluckedString(3.0, 1e9, 1e9, 0.25, 0.0, 1e-12, 0.1, 0.0, 0.0, 1)
    pitch, period = 69, 40
    cents = 1200 * np.log2(RATE / period / 440)
    string = PluckedString(**{**string.__dict__, "cents": cents})
    sound = play(string, pitch)[8000:24000]
    gain = 10 ** (-3 / (3.0 * (110 / (RATE / period)) ** 0.5) * period / RATE)
    expected = np.zeros(16000)
    expected[0], expected[period // 4] = 1.0, -1.0
    for n in range(period, 16000):
        expected[n] += gain * expected[n - period]
    velocity = (100 / 127) ** 1.5
    np.testing.assert_allclose(sound / velocity, expected, atol=0.04)


@pytest.mark.parametrize("pitch", [40, 57, 76])
def test_partials_are_in_tune_and_decay_as_they_should(pitch):
    lowest = 440 * 2 ** ((pitch - 69) / 12)
    sound = play(PLAIN, pitch).astype(np.float64)
    assert not sound[:7999].any()
    for partial in (1, 2, 3):
        hertz = partial * lowest
        early, late = (amplitude(sound[a : a + 6400], hertz) for a in (8400, 14800))
        seconds = 3.0 * (110 / lowest) ** 0.5 / (1 + (hertz / 3000) ** 2)
        assert 20 * np.log10(early / late) == pytest.approx(60 * 0.4 / seconds, rel=0.05)
        for detuned in (0.97, 1.03):
            assert amplitude(sound[8400:20000], detuned * hertz) < 0.5 * amplitude(
                sound[8400:20000], hertz
            )


def test_an_ended_note_dies_away_and_equal_strings_sound_equal():
    sound = play(PLAIN, 45, offset=0.8)
    assert np.abs(sound[-20000:]).max() < 1e-3 * np.abs(sound).max()
    drawn = [PluckedString.draw(Dice(4), 3.0) for _ in range(2)]
    assert np.array_equal(play(drawn[0], 60), play(drawn[1], 60))
    assert np.abs(play(drawn[0], 60, num_samples=9000)).max() > 0


def test_a_note_longer_than_the_model_sounds_fades():
    sound = np.abs(play(PLAIN, 45, onset=0.0, offset=2.9, num_samples=46400))
    last = np.flatnonzero(sound)[-1]
    assert last == pytest.approx(2.0 * RATE, abs=16)
    assert sound[last - 1600 : last - 800].max() > 0.001
    assert sound[last - 8 : last + 1].max() < 0.001
