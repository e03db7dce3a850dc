"""The effects of wide MiniSlakh, against formulas and other ways to compute them."""

import math

import numpy as np
import pytest
from scipy.signal import sosfreqz

from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.wide import effects, reverberation

RATE = 16000


def tone(hertz, seconds=1.0, amplitude=0.1):
    times = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def decibels(ratio):
    return 20 * math.log10(ratio)


def gains_db(sections, hertz):
    return 20 * np.log10(np.abs(sosfreqz(sections, worN=np.array(hertz), fs=RATE)[1]))


@pytest.mark.parametrize("gain_db", [-8.0, 6.0])
def test_filters_have_the_gains_that_they_are_given(gain_db):
    peak = effects.peak(1000, gain_db, 2.0, RATE)
    assert gains_db(peak, [1, 1000, 7999]) == pytest.approx([0, gain_db, 0], abs=0.05)
    low = effects.shelf(300, gain_db, RATE, is_high=False)
    assert gains_db(low, [1, 300, 7900]) == pytest.approx([gain_db, gain_db / 2, 0], abs=0.05)
    high = effects.shelf(3000, gain_db, RATE, is_high=True)
    assert gains_db(high, [1, 3000, 7999]) == pytest.approx([0, gain_db / 2, gain_db], abs=0.05)


@pytest.mark.parametrize("rate", [8000, 11025])
def test_filters_above_half_the_rate_are_stable(rate):
    for hertz in (1500, 5000, 6500):
        sections = [effects.peak(hertz, 8, 3, rate)]
        sections += [effects.shelf(hertz, -8, rate, is_high=is_high) for is_high in (False, True)]
        for section in sections:
            assert np.abs(np.roots(section[0, 3:])).max() < 1


@pytest.mark.parametrize("kind", effects.DRIVES)
def test_silence_between_driven_notes_is_silent(kind):
    """The curve of a tube is not symmetric: what it leaves in silence is taken away."""
    time = np.arange(RATE) / RATE
    note = 0.3 * np.sin(2 * np.pi * 220 * time)
    song = np.concatenate([note, 0 * note, note, 0 * note]).astype(np.float32)
    driven = effects.driven(song, kind, 12.0, 1.0)
    cleaned = effects.without_offset(driven, RATE)
    pause = slice(RATE + RATE // 2, 2 * RATE - 100)
    assert np.abs(cleaned[pause]).max() < 1e-3 * np.abs(cleaned).max()
    inside = slice(RATE // 2, RATE - 100)
    assert cleaned[inside].std() == pytest.approx(driven[inside].std(), rel=0.01)
    assert abs(cleaned[inside].mean()) < 5e-3 * np.abs(cleaned).max()


def test_a_band_passes_its_middle_and_open_ends():
    band = effects.band(100, 4000, 2, RATE)
    assert gains_db(band, [10, 100, 700, 4000]) == pytest.approx([-40, -3, 0, -3], abs=0.5)
    assert len(effects.band(0, math.inf, 2, RATE)) == 0


def test_filtering_by_the_impulse_response_is_filtering():
    sections = np.concatenate([effects.peak(500, 6, 3, RATE), effects.band(50, 5000, 1, RATE)])
    sound = Dice(1).generator.random(8000).astype(np.float32) - 0.5
    response = effects.equaliser(sections, 4000)
    direct = effects.sosfilt(sections, sound.astype(np.float64))
    np.testing.assert_allclose(effects.convolved(sound, response), direct, atol=1e-5)


@pytest.mark.parametrize("kind", effects.DRIVES)
def test_drive_adds_overtones_and_keeps_level_and_place(kind):
    sound = tone(437.5)
    bent = effects.driven(sound, kind, 18.0, 1.0)
    spectrum = np.abs(np.fft.rfft(bent * np.hanning(len(bent))))
    assert spectrum[1312:1314].max() > 0.03 * spectrum[437:439].max()
    assert decibels(effects.loudness(bent) / effects.loudness(sound)) == pytest.approx(0, abs=0.1)
    lags = [abs(np.dot(bent[100:-100], np.roll(sound, k)[100:-100])) for k in range(-9, 10)]
    assert np.argmax(lags) == 9
    np.testing.assert_allclose(effects.driven(sound, kind, 18.0, 0.0), sound, atol=1e-6)
    assert not effects.driven(np.zeros(5000, np.float32), kind, 18.0, 1.0).any()


def test_compression_takes_what_is_above_the_threshold_by_the_ratio():
    loud = tone(500, amplitude=0.5)
    settings = {"attack": 0.005, "release": 0.05, "rate": RATE}
    out = effects.compressed(loud, threshold_db=-12.0, ratio=4.0, **settings)
    gain = decibels(np.abs(out[8000:]).max() / np.abs(loud[8000:]).max())
    assert gain == pytest.approx(-12 * (1 - 1 / 4), abs=0.3)
    assert np.allclose(
        effects.compressed(loud, threshold_db=6.0, ratio=4.0, **settings), loud, atol=1e-6
    )
    silence = np.zeros(5000, np.float32)
    assert not effects.compressed(silence, threshold_db=-12.0, ratio=4.0, **settings).any()


def test_a_delay_that_is_no_whole_number_interpolates():
    sound = Dice(2).generator.random(2000).astype(np.float32)
    delay = 3 + 2 * np.sin(np.arange(2000) / 100)
    where = np.maximum(np.arange(2000) - delay, 0)
    expected = np.interp(where, np.arange(2000), sound)
    np.testing.assert_allclose(effects.delayed(sound, delay), expected, atol=1e-6)


def test_vibrato_swings_by_the_cents_and_delays_by_about_a_millisecond():
    out = effects.vibrato(tone(500, 2.0), hertz=5.0, cents=30.0, phase=0.0, rate=RATE)
    phase = np.unwrap(np.angle(_analytic(out)))
    pitch = 1200 * np.log2(np.diff(phase) * RATE / (2 * np.pi) / 500)
    pitch = np.convolve(pitch, np.ones(160) / 160, "same")[2000:-2000]
    assert pitch.max() == pytest.approx(30, abs=2) and pitch.min() == pytest.approx(-30, abs=2)
    late = (2 * np.pi * 500 * np.arange(32000) / RATE - phase)[2000:-2000] / (2 * np.pi * 500)
    late -= np.round(late.min() * 500) / 500
    assert late.max() - late.min() < 0.0012


def _analytic(x):
    spectrum = np.fft.fft(x)
    spectrum[len(x) // 2 :] = 0
    return np.fft.ifft(2 * spectrum)


def test_tremolo_chorus_and_envelopes():
    sound = tone(500, 2.0)
    swinging = effects.tremolo(sound, hertz=4.0, depth=0.5, phase=0.0, rate=RATE)
    level = np.abs(_analytic(swinging))[1000:-1000] / 0.1
    assert level.max() == pytest.approx(1, abs=0.02) and level.min() == pytest.approx(0.5, abs=0.02)
    settings = {"hertz": 1.0, "cents": 10.0, "phase": 0.2, "rate": RATE}
    copy = effects.chorus(sound, seconds=0.01, mix=0.5, **settings)
    np.testing.assert_allclose(copy[:150], sound[:150], atol=1e-6)
    assert np.abs(_analytic(copy)).std() > 0.005
    ones = np.ones(RATE, np.float32)
    shaped = effects.shaped(ones, np.array([0.5, 0.25]), lambda t: np.exp(-t / 0.1), RATE)
    assert not shaped[:3900].any()
    np.testing.assert_allclose(shaped[[4000, 5600, 8000, 9600]], [1, math.exp(-1)] * 2, rtol=0.01)


@pytest.mark.parametrize("kind", reverberation.KINDS)
def test_reverberation_keeps_the_onset_and_has_its_level(kind):
    response = reverberation.reverberation(kind, -9.0, Dice(3), RATE)
    again = reverberation.reverberation(kind, -9.0, Dice(3), RATE)
    assert np.array_equal(response, again)
    assert response[0] == 1.0 and np.abs(response[1:]).max() < 1.0
    assert decibels(np.sqrt(np.square(response[1:]).sum())) == pytest.approx(-9, abs=0.2)
    energy = np.square(response[1:])
    assert energy[-len(energy) // 8 :].sum() < 0.05 * energy.sum()
