"""Where notes end: pedals, controllers 120, 121 and 123, and notes that are written twice."""

import mido
import numpy as np
import pytest

from data_pipeline.io.midi import Part, read_midi, read_notes, write_midi
from data_pipeline.io.midi_notes import without_duplicates
from tests.data_pipeline.io.test_midi import _notes

BEAT = 480  # ticks, half a second


def on(note, time=0, **more):
    return mido.Message("note_on", note=note, velocity=80, time=time * BEAT, **more)


def off(note, time=0, **more):
    return mido.Message("note_off", note=note, time=time * BEAT, **more)


def control(number, value=0, time=0, **more):
    return mido.Message("control_change", control=number, value=value, time=time * BEAT, **more)


def save(path, *tracks, **options):
    file = mido.MidiFile(ticks_per_beat=BEAT, **options)
    file.tracks.extend(mido.MidiTrack(messages) for messages in tracks)
    file.save(path)
    return path


def intervals(path, **options):
    return read_notes(path, **options).intervals.tolist()


@pytest.mark.parametrize("number", [120, 123])
@pytest.mark.parametrize("sustain_pedal", [False, True])
def test_all_sound_or_notes_off_ends_notes(tmp_path, number, sustain_pedal):
    messages = [on(60), on(64), control(number, time=2), on(60, time=1), off(60, time=1)]
    path = save(tmp_path / "x.mid", [*messages, off(64, time=1)])
    expected = [[0, 1], [0, 1], [1.5, 2]]
    assert intervals(path, sustain_pedal=sustain_pedal) == expected


def test_other_channels_and_tracks_sound_on(tmp_path):
    first = [on(60), on(60, channel=1), control(120, time=2), off(60, 2), off(60, channel=1)]
    path = save(tmp_path / "x.mid", first, [on(60), off(60, time=3)])
    ends = [part.notes.offsets.tolist() for part in read_midi(path)]
    assert ends == [[1.0], [2.0], [1.5]]


def test_the_pedal_holds_notes_through_all_notes_off_and_not_through_all_sound_off(tmp_path):
    for number, ends in ((123, [3.0, 3.0]), (120, [1.0, 1.0])):
        messages = [control(64, 127), on(60), on(62), off(60, 1), control(number, time=1)]
        path = save(tmp_path / "x.mid", [*messages, control(64, 0, 4)])
        assert read_notes(path, sustain_pedal=True).offsets.tolist() == ends
        assert read_notes(path).offsets.tolist() == [0.5, 1.0]


def test_reset_lifts_the_pedal_and_ends_no_note(tmp_path):
    messages = [control(64, 127), on(60), on(62), off(60, 1), control(121, time=1), off(62, 2)]
    path = save(tmp_path / "x.mid", [*messages, on(64), off(64, 1), control(64, 0, 1)])
    assert read_notes(path, sustain_pedal=True).offsets.tolist() == [1.0, 2.0, 2.5]


def test_a_pedal_is_of_its_own_track(tmp_path):
    held = [control(64, 127), on(60), off(60, 1), control(64, 0, 3)]
    path = save(tmp_path / "x.mid", held, [on(40), off(40, 1)])
    piano, other = read_midi(path, sustain_pedal=True)
    assert (piano.notes.offsets.tolist(), other.notes.offsets.tolist()) == ([2.0], [0.5])


def test_a_pedal_in_a_track_of_its_own_is_for_all_of_its_channel_and_port(tmp_path):
    port = mido.MetaMessage("midi_port", port=1)
    pedal = [control(64, 127), control(64, 0, 4)]
    notes = [on(60), off(60, 1)]
    tracks = [pedal, notes, notes, [port, *notes], [on(60, channel=1), off(60, 1, channel=1)]]
    parts = read_midi(save(tmp_path / "x.mid", *tracks), sustain_pedal=True)
    assert [part.notes.offsets.tolist() for part in parts] == [[2.0], [2.0], [0.5], [0.5]]


def test_programs_are_of_their_port(tmp_path):
    port = mido.MetaMessage("midi_port", port=1)
    program = mido.Message("program_change", program=33)
    path = save(tmp_path / "x.mid", [program], [on(60), off(60, 1)], [port, on(60), off(60, 1)])
    assert [(part.program, part.has_program) for part in read_midi(path)] == [
        (33, True),
        (0, False),
    ]


def test_a_note_written_twice_is_one(tmp_path):
    path = tmp_path / "x.mid"
    twice = _notes((1, 2, 60, 50), (1.0002, 2.5, 60, 70), (1.0002, 2, 61, 60), (1.01, 3, 60, 9))
    write_midi(path, [Part("", 0, False, twice)])
    notes = read_notes(path)
    assert (notes.pitches.tolist(), notes.velocities.tolist()) == ([60, 61, 60], [70, 60, 9])
    np.testing.assert_allclose(notes.intervals, [[1, 2.5], [1.0002, 2], [1.01, 3]], atol=1e-4)
    hit = [on(36, channel=9), on(36, channel=9), off(36, 1, channel=9), off(36, channel=9)]
    assert intervals(save(path, hit)) == [[0, 0.5]]


def test_notes_apart_stay_as_they_are():
    table = (np.array([[0.5, 1], [0, 1]]), np.array([60, 60]), np.array([1, 2]))
    for same, column in zip(without_duplicates(*table), table, strict=True):
        assert same is column


def test_release_velocities_of_a_keyboard_change_nothing(tmp_path):
    path = save(tmp_path / "x.mid", [on(60), on(60, 1), off(60, 1, velocity=64), off(60, 1)])
    assert intervals(path) == [[0, 1], [0.5, 1.5]]
