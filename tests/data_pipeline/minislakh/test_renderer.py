"""The renderer of MiniSlakh: pitch, silence before the note, no memory of the stem before."""

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part
from data_pipeline.minislakh import programs, renderer, soundfonts, track_folder
from data_pipeline.minislakh.dice import Dice


def one_part(program, pitch, *, is_drum=False, onset=0.5, offset=1.5):
    notes = Notes(np.array([[onset, offset]]), np.array([pitch]), np.array([100]))
    return Part("x", program, is_drum, notes)


@pytest.fixture(scope="module")
def synths():
    return renderer.Renderer()


@pytest.mark.parametrize("program", [0, 4, 25, 29, 33, 40, 48])
def test_a4_sounds_at_440_hz(synths, program):
    font = renderer.default_soundfont()
    sound = synths.render(one_part(program, 69), soundfont=font, num_samples=32000)
    assert not sound[:7990].any()
    spectrum = np.abs(np.fft.rfft(sound[10000:22000] * np.hanning(12000), 2**18))
    hertz = np.fft.rfftfreq(2**18, 1 / 16000)
    window = (hertz > 400) & (hertz < 480)
    assert hertz[window][spectrum[window].argmax()] == pytest.approx(440, abs=4)


def test_a_stem_does_not_depend_on_the_one_before(synths):
    font = renderer.default_soundfont()
    part = one_part(48, 60, offset=3.0)
    first = synths.render(part, soundfont=font, num_samples=20000)
    for other in (one_part(30, 40, offset=9.0), one_part(16, 49, is_drum=True)):
        synths.render(other, soundfont=font, num_samples=15000)
    assert np.array_equal(first, synths.render(part, soundfont=font, num_samples=20000))
    fresh = renderer.Renderer().render(part, soundfont=font, num_samples=20000)
    assert np.array_equal(first, fresh)


def test_drums_sound_in_every_kit_even_one_the_font_lacks(synths):
    font = renderer.default_soundfont()
    sounds = [
        synths.render(
            one_part(kit, 38, is_drum=True, offset=0.506), soundfont=font, num_samples=16000
        )
        for kit in (*programs.PROGRAMS["drums"], 99)
    ]
    assert all(np.abs(sound).max() > 0.01 for sound in sounds)
    assert np.array_equal(sounds[0], sounds[-1])


def test_keys_of_a_kit_that_sound_are_counted(synths):
    font = renderer.default_soundfont()
    assert synths.heard_keys(font, 0, range(35, 82)) == 47
    assert synths.heard_keys(font, 0, [5, 36, 120]) == 1
    assert synths.heard_keys(font, 77, [36]) is None


def test_balance_of_silence(synths):
    stems, gain, levels = track_folder.balance([np.zeros(16000, np.float32)] * 2, 16000)
    assert gain == 1.0 and levels == [track_folder.SILENCE_DB] * 2 and not np.any(stems)


def test_without_the_package_of_the_soundfont_it_is_told(monkeypatch):
    monkeypatch.setattr(soundfonts, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install pretty_midi, or .* --soundfont"):
        renderer.Renderer()


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        (one_part(25, 60), r"program 25 \(Acoustic Guitar \(steel\)\)"),
        (one_part(40, 38, is_drum=True), r"program 40 \(drum kit\)"),
    ],
)
def test_a_program_that_no_soundfont_has_is_named(synths, monkeypatch, part, missing):
    fonts = ("a.sf2", "b.sf2")
    monkeypatch.setattr(synths, "_has", lambda font, bank, program: bank == 128 and font == "c.sf2")
    with pytest.raises(
        ValueError, match=rf"none of a\.sf2, b\.sf2 has General MIDI {missing}; add a"
    ):
        synths.draw_soundfont(part, Dice(0, "x"), fonts)
    if part.is_drum:
        assert synths.draw_soundfont(part, Dice(0, "x"), (*fonts, "c.sf2")) == "c.sf2"
