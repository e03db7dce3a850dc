"""What is made of the sounds of soundfonts: other sizes, layers, mixed kits."""

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.renderer import Renderer, Voice
from data_pipeline.minislakh.wide import mixed_kit
from data_pipeline.minislakh.wide.layers import layered
from data_pipeline.minislakh.wide.sizes import LARGEST, played_in_size

RATE = 16000
BODY_HZ = 1000.0  # of the resonance that every note of `Tones` strikes


class Tones(Renderer):
    """Notes as sines at their pitch, from onset to offset, on a body that rings at 1 kHz."""

    def __init__(self):
        pass

    def render(self, part, *, soundfont, num_samples, cents):
        times = np.arange(num_samples) / RATE
        sound = np.zeros(num_samples)
        for (onset, offset), pitch in zip(part.notes.intervals, part.notes.pitches, strict=True):
            since = times - onset
            inside = (since >= 0) & (times < offset)
            hertz = 440 * 2 ** ((pitch - 69 + cents / 100) / 12)
            body = 0.5 * np.sin(2 * np.pi * BODY_HZ * since)
            sound += inside * (np.sin(2 * np.pi * hertz * since) + body)
        return sound.astype(np.float32)


def _part(is_drum=False):
    notes = Notes(np.array([[0.25, 1.25]]), np.array([57]), np.array([100]))
    return Part("a", 0, is_drum, notes)


def _peaks(sound):
    """The two loudest frequencies in Hz, lower first."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    first = int(np.argmax(spectrum))
    rest = spectrum.copy()
    rest[max(first - 200, 0) : first + 200] = 0
    return sorted(np.array([first, int(np.argmax(rest))]) * RATE / size)


@pytest.mark.parametrize("semitones", [-LARGEST, -3, -1, 0, 2, 3, LARGEST])
def test_pitch_and_times_stay_and_the_body_moves(semitones):
    sound = played_in_size(Tones(), "", _part(), 2 * RATE, semitones=semitones, cents=10.0)
    assert sound.dtype == np.float32 and len(sound) == 2 * RATE
    pitch_hz, body_hz = _peaks(sound[round(0.35 * RATE) : round(1.15 * RATE)])
    assert 1200 * abs(np.log2(pitch_hz / 220) - 10 / 1200) < 1
    assert abs(12 * np.log2(body_hz / BODY_HZ) - semitones) < 0.2
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    assert abs(loud[0] - 0.25 * RATE) < 12 and abs(loud[-1] - 1.25 * RATE) < 12


def test_the_pitch_of_drums_is_their_size():
    pitch_hz, _ = _peaks(
        played_in_size(Tones(), "", _part(is_drum=True), 2 * RATE, semitones=4)[4000:20000]
    )
    assert pitch_hz / 220 == pytest.approx(5 / 4, rel=1e-3)


def test_the_usual_size_is_the_renderer_s_own_sound():
    part = _part()
    expected = Tones().render(part, soundfont="", num_samples=RATE, cents=3.0)
    found = played_in_size(Tones(), "", part, RATE, semitones=0, cents=3.0)
    np.testing.assert_array_equal(found, expected)


def test_notes_that_no_key_could_play_are_left_out():
    notes = Notes(np.array([[0.0, 0.5], [0.0, 0.5]]), np.array([2, 60]), np.array([9, 9]))
    part = Part("a", 0, False, notes)
    alone = Part("a", 0, False, notes.select(notes.pitches == 60))
    found, expected = (
        played_in_size(Tones(), "", each, RATE, semitones=4) for each in (part, alone)
    )
    np.testing.assert_array_equal(found, expected)


def test_a_layer_plays_the_same_notes_by_its_own_program_at_its_level():
    heard = []

    def play(scale, part, num_samples):
        heard.append((part.program, part.notes))
        return scale * np.arange(num_samples, dtype=np.float32)

    part = _part()
    first = Voice("a.sf2", lambda *given: play(1, *given), "size +1 semitones")
    second = Voice("/fonts/b.sf2", lambda *given: play(-8, *given))
    voice = layered(first, second, 5, -6.0)
    expected = np.arange(100) * (1 - 10 ** (-6 / 20))
    np.testing.assert_allclose(voice.play(part, 100), expected, rtol=1e-5)
    assert heard == [(part.program, part.notes), (5, part.notes)]
    assert voice.name == "a.sf2"
    assert voice.effects == "size +1 semitones; with b.sf2 5 -6.0 dB"


@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_layer_adds_nothing(silent):
    sounds = [np.ones(10, np.float32), np.zeros(10, np.float32)]
    voices = [Voice("a", lambda *_, s=s: s) for s in (sounds if silent else sounds[::-1])]
    np.testing.assert_array_equal(
        layered(*voices, 0, 0.0).play(_part(), 10), np.full(10, float(silent))
    )


def test_each_key_is_of_one_piece_and_pieces_are_drawn_from_all_kits():
    sounds = {("a.sf2", 0): 3, ("b.sf2", 8): 1}
    kits = [mixed_kit.draw_pieces(lambda _: sounds, Dice(seed)) for seed in range(50)]
    for pieces in kits:
        assert sorted(key for piece in pieces for key in piece.keys) == list(range(128))
        assert all(abs(piece.level_db) <= mixed_kit.LEVEL_DB for piece in pieces)
    flat = [piece for pieces in kits for piece in pieces]
    assert {(piece.soundfont, piece.program) for piece in flat} == set(sounds)
    assert {piece.semitones for piece in flat} == set(
        range(-mixed_kit.LARGEST_OF_DRUMS, mixed_kit.LARGEST_OF_DRUMS + 1)
    )
    told = mixed_kit.description(kits[0]).removeprefix("kits ").split(", ")
    for text, piece in zip(told, kits[0], strict=True):
        assert text == f"{piece.soundfont} {piece.program} {piece.semitones:+d}"
    assert 0.65 < np.mean([piece.soundfont == "a.sf2" for piece in flat]) < 0.85


def test_a_mixed_kit_is_the_sum_of_its_pieces():
    renderer = Renderer()
    (font,) = renderer.soundfonts
    pieces = mixed_kit.draw_pieces(lambda _: {(font, 0): 1, (font, 25): 1}, Dice(4))
    onsets = np.arange(6) * 0.2
    notes = Notes(
        np.stack([onsets, onsets + 0.1], 1), np.array([36, 42, 38, 42, 49, 60]), np.full(6, 90)
    )
    part = Part("drums", 0, True, notes)
    whole = mixed_kit.play(pieces, renderer, 5.0, part, 2 * RATE)
    total = np.zeros(2 * RATE)
    for piece in pieces:
        chosen = notes.select(np.isin(notes.pitches, piece.keys))
        alone = Part("drums", piece.program, True, chosen)
        sound = played_in_size(
            renderer, font, alone, 2 * RATE, semitones=piece.semitones, cents=5.0
        )
        total += 10 ** (piece.level_db / 20) * sound
    np.testing.assert_allclose(whole, total, atol=1e-5)
    assert np.abs(whole).max() > 0.01
