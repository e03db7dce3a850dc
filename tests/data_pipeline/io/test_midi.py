"""MIDI files: round trips, tempo maps, the pedal, agreement with pretty_midi, and broken files."""

import mido
import numpy as np
import pretty_midi
import pytest
import tinysoundfont
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.notes import Notes
from data_pipeline.io import midi
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.minislakh.renderer import default_soundfont


def _notes(*rows):
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Notes(table[:, :2], table[:, 2].astype(int), table[:, 3].astype(int))


def _save(path, messages, *, ticks_per_beat=480):
    file = mido.MidiFile(ticks_per_beat=ticks_per_beat)
    file.tracks.append(mido.MidiTrack(messages))
    file.save(path)


@pytest.mark.parametrize("bpm", [60.0, 120.0, 133.7])
def test_round_trip(tmp_path, bpm):
    rng = np.random.default_rng(0)
    onsets = np.sort(rng.uniform(0, 3700, 300))
    notes = Notes(
        np.stack([onsets, onsets + rng.uniform(0.005, 2.0, 300)], 1),
        rng.permutation(np.arange(300) % 88) + 21,
        rng.integers(1, 128, 300),
    )
    drums = _notes((0.5, 0.506, 36, 100))
    written = [Part("Grand Piano", 3, False, notes), Part("kit ä", 8, True, drums)]
    midi.write_midi(tmp_path / "x.mid", written, bpm=bpm)
    read = midi.read_midi(tmp_path / "x.mid")
    assert [(p.program, p.is_drum) for p in read] == [(3, False), (8, True)]
    assert read[0].name == "Grand Piano"
    np.testing.assert_array_equal(read[0].notes.pitches, notes.pitches)
    np.testing.assert_array_equal(read[0].notes.velocities, notes.velocities)
    np.testing.assert_allclose(read[0].notes.intervals, notes.intervals, atol=1e-3)
    np.testing.assert_allclose(read[1].notes.intervals, drums.intervals, atol=5e-4)


def test_many_parts_keep_their_programs(tmp_path):
    parts = [Part(f"p{i}", i, False, _notes((i, i + 1, 60, 80))) for i in range(40)]
    midi.write_midi(tmp_path / "x.mid", parts)
    read = midi.read_midi(tmp_path / "x.mid")
    assert [(p.name, p.program) for p in read] == [(p.name, p.program) for p in parts]


def test_repeated_notes_that_touch(tmp_path):
    notes = _notes((0, 1, 60, 80), (1, 2, 60, 81), (2, 2, 60, 82))
    midi.write_midi(tmp_path / "x.mid", [Part("", 0, False, notes)])
    read = midi.read_notes(tmp_path / "x.mid")
    np.testing.assert_allclose(read.intervals, notes.intervals, atol=1e-3)


def test_tempo_changes_in_another_track(tmp_path):
    file = mido.MidiFile(ticks_per_beat=100)
    slow = mido.MetaMessage("set_tempo", tempo=1_000_000, time=100)
    file.tracks.append(mido.MidiTrack([slow]))
    on = mido.Message("note_on", note=60, velocity=9, time=100)
    off = mido.Message("note_on", note=60, velocity=0, time=50)
    file.tracks.append(mido.MidiTrack([on, off]))
    file.save(tmp_path / "x.mid")
    np.testing.assert_allclose(midi.read_notes(tmp_path / "x.mid").intervals, [[0.5, 1.0]])


def test_odd_notes(tmp_path):
    message = mido.Message
    _save(
        tmp_path / "x.mid",
        [
            message("note_on", note=60, velocity=1, time=0),
            message("note_on", note=60, velocity=2, time=480),
            message("note_off", note=60, time=480),
            message("note_off", note=60, time=480),
            message("note_off", note=61, time=0),  # never began
            message("note_on", note=62, velocity=3, time=0),
            message("note_off", note=62, time=0),  # no length
            message("note_on", note=63, velocity=4, time=0),  # never ends
            message("control_change", control=7, value=1, time=480),
        ],
    )
    notes = midi.read_notes(tmp_path / "x.mid")
    assert notes == _notes((0, 1, 60, 1), (0.5, 1.5, 60, 2), (1.5, 1.5, 62, 3), (1.5, 2, 63, 4))


def test_sustain_pedal(tmp_path):
    message = mido.Message
    pedal = {"control": 64}
    _save(
        tmp_path / "x.mid",
        [
            message("note_on", note=60, velocity=1, time=0),
            message("control_change", value=127, time=480, **pedal),
            message("note_off", note=60, time=0),
            message("note_on", note=62, velocity=1, time=0),
            message("note_off", note=62, time=480),
            message("note_on", note=62, velocity=1, time=480),
            message("note_off", note=62, time=480),
            message("control_change", value=0, time=480, **pedal),
            message("note_on", note=64, velocity=1, time=0),
            message("note_off", note=64, time=480),
        ],
    )
    plain = midi.read_notes(tmp_path / "x.mid")
    held = midi.read_notes(tmp_path / "x.mid", sustain_pedal=True)
    np.testing.assert_allclose(plain.offsets, [0.5, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(held.offsets, [2.5, 1.5, 2.5, 3.0])


def test_agrees_with_pretty_midi_on_genuine_files(samples):
    files = sorted(samples.glob("slakh2100/*/*/MIDI/*.mid"))
    files += samples.glob("groove_midi/*.mid")
    compared = 0
    for path in files:
        parts = pretty_midi.PrettyMIDI(str(path)).instruments
        theirs = [(n.pitch, n.start, n.velocity, n.end) for part in parts for n in part.notes]
        theirs = np.array(sorted(theirs)).reshape(-1, 4)
        theirs = theirs[np.insert((np.diff(theirs[:, :2], axis=0) != 0).any(1), 0, True)]
        notes = midi.read_notes(path)  # hits that are written twice are one
        ours = np.stack([notes.pitches, notes.onsets, notes.velocities, notes.offsets], 1)
        ours = ours[np.lexsort(ours[:, ::-1].T)]
        assert ours.shape == theirs.shape, path
        np.testing.assert_allclose(ours[:, :2], theirs[:, :2], atol=1e-6)
        assert np.mean(ours[:, 2] == theirs[:, 2]) > 0.98, path
        # Overlapping notes of one pitch are closed by another rule; all others agree.
        assert np.mean(np.abs(ours[:, 3] - theirs[:, 3]) < 1e-3) > 0.98, path
        compared += len(ours)
    assert compared > 10000


def test_missing_text_and_cut_files(tmp_path, samples):
    with pytest.raises(FileNotFoundError, match=r"none\.mid"):
        midi.read_midi(tmp_path / "none.mid")
    (tmp_path / "text.mid").write_text("not a MIDI file at all, but some text")
    with pytest.raises(ValueError, match=r"text\.mid"):
        midi.read_midi(tmp_path / "text.mid")
    whole = (samples / "slakh2100/validation/Track01501/MIDI/S06.mid").read_bytes()
    for size in (0, 5, 14, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.mid").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.mid"):
            midi.read_midi(tmp_path / "cut.mid")


def test_an_impossible_key_signature_takes_no_note_away(tmp_path):
    path = tmp_path / "key.mid"
    write_midi(path, [Part("piano", 0, False, _notes((0, 1, 60, 80)))])
    content = path.read_bytes()
    key = bytes([0, 0xFF, 0x59, 2, 100, 0])
    at = content.index(b"MTrk") + 8
    length = int.from_bytes(content[at - 4 : at], "big") + len(key)
    path.write_bytes(content[: at - 4] + length.to_bytes(4, "big") + key + content[at:])
    assert midi.read_notes(path) == _notes((0, 1, 60, 80))


def test_time_code_division_is_refused(tmp_path):
    midi.write_midi(tmp_path / "x.mid", [])
    content = bytearray((tmp_path / "x.mid").read_bytes())
    content[12:14] = b"\xe7\x28"
    (tmp_path / "x.mid").write_bytes(content)
    with pytest.raises(ValueError, match="time division"):
        midi.read_midi(tmp_path / "x.mid")


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="bpm"):
        midi.write_midi(tmp_path / "x.mid", [], bpm=0)
    with pytest.raises(ValueError, match="program"):
        midi.write_midi(tmp_path / "x.mid", [Part("", 128, False, Notes.empty())])
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_crash(tmp_path_factory, tail):
    path = tmp_path_factory.getbasetemp() / "random.mid"
    path.write_bytes(b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x00\x40" + tail)
    try:
        midi.read_midi(path)
    except ValueError as error:
        assert "random.mid" in str(error)


@pytest.mark.parametrize("bpm", [4.0, 61.7, 120.0, 333.3])
def test_what_is_written_is_the_same_for_everyone_after_an_hour(tmp_path, bpm):
    """Other readers and a synthesizer agree with us, within a tick, however long the song."""
    onsets = np.sort(np.random.default_rng(0).uniform(0, 3600, 400))
    notes = Notes(
        np.stack([onsets, onsets + 0.3], 1),
        np.random.default_rng(1).permutation(400) % 60 + 30,
        np.full(400, 80),
    )
    parts = [Part("keys", 4, False, notes), Part("kit", 0, True, notes)]
    write_midi(tmp_path / "a.mid", parts, bpm=bpm)
    tick = 60 / bpm / mido.MidiFile(tmp_path / "a.mid").ticks_per_beat
    assert tick < 1.6e-3 if bpm == 4 else tick < 0.95e-3
    by_pitch = np.lexsort((notes.onsets, notes.pitches))
    parsed = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert [(part.program, part.is_drum) for part in parsed.instruments] == [(4, False), (0, True)]
    for part in parsed.instruments:
        found = sorted((n.pitch, n.start, n.end) for n in part.notes)
        expected = np.column_stack([notes.pitches, notes.intervals])[by_pitch]
        np.testing.assert_allclose(found, expected, atol=max(tick, 1e-6))
    starts, now = [], 0.0
    for message in mido.MidiFile(tmp_path / "a.mid"):
        now += message.time
        if message.type == "note_on" and message.velocity and message.channel == 9:
            starts.append(now)
    np.testing.assert_allclose(starts, notes.onsets, atol=1e-3)


def test_a_synthesizer_plays_what_is_written(tmp_path):
    notes = Notes(np.array([[0.25, 0.5]]), np.array([60]), np.array([110]))
    for name, is_drum in (("keys", False), ("kit", True)):
        write_midi(tmp_path / "a.mid", [Part(name, 0, is_drum, notes)], bpm=97)
        synth = tinysoundfont.Synth(samplerate=16000)
        font = synth.sfload(default_soundfont())
        synth.program_select(9 if is_drum else 0, font, 128 if is_drum else 0, 0, is_drum)
        sequencer = tinysoundfont.Sequencer(synth)
        sequencer.midi_load(str(tmp_path / "a.mid"))
        sound = np.concatenate(
            [np.frombuffer(bytes(synth.generate(160)), np.float32) for _ in range(60)]
        ).reshape(-1, 2)
        heard = np.flatnonzero(np.abs(sound).max(1) > 1e-3) / 16000
        assert heard[0] == pytest.approx(0.25, abs=0.03)
