"""MIDI files that break the standard: the same notes come back, or the file is refused."""

import struct

import mido
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_pipeline.io.midi import Part, read_midi, read_notes, write_midi
from data_pipeline.io.midi_file import read_midi_file
from tests.data_pipeline.io.test_midi import _notes

FIRST, SECOND = _notes((0, 1, 60, 80), (1, 1.5, 64, 70)), _notes((0.5, 2, 40, 90))
JUNK = bytes(range(128, 149))


@pytest.fixture
def whole(tmp_path):
    parts = [Part("piano", 0, False, FIRST), Part("bass", 33, False, SECOND)]
    write_midi(tmp_path / "whole.mid", parts)
    return (tmp_path / "whole.mid").read_bytes()


def _chunks(content):
    """Header and tracks, each with its eight bytes in front."""
    chunks, at = [], 0
    while at < len(content):
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8])
        chunks.append(content[at:end])
        at = end
    return chunks


def _with_length(track, length):
    return track[:4] + struct.pack(">I", length) + track[8:]


def _riff(content, *more):
    def chunk(name, data):
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    return chunk(b"RIFF", b"RMID" + chunk(b"data", content) + b"".join(more))


def _without_end(track):
    assert track.endswith(b"\x00\xff\x2f\x00")
    return _with_length(track[:-4], len(track) - 12)


DAMAGES = {
    "RIFF": lambda head, a, b, c: _riff(head + a + b + c),
    "RIFF with more": lambda head, a, b, c: _riff(head + a + b + c, b"MTrkDLS"),
    "MacBinary": lambda head, a, b, c: b"\0" * 128 + head + a + b + c,
    "bytes between tracks": lambda head, a, b, c: head + a + JUNK + b + b"\0\0" + c,
    "bytes after the last": lambda head, a, b, c: head + a + b + c + JUNK,
    "bytes after a track without end": lambda head, a, b, c: head + a + _without_end(b) + JUNK + c,
    "foreign chunks": lambda head, a, b, c: (
        head + b"XFIH" + struct.pack(">I", 6) + b"MTrk\0\0" + a + b"XFKM\0\0\0\0" + b + c
    ),
    "lengths of 0": lambda head, a, b, c: head + b"".join(_with_length(t, 0) for t in (a, b, c)),
    "lengths too short": lambda head, a, b, c: head + a + _with_length(b, len(b) - 13) + c,
    "lengths too long": lambda head, a, b, c: (
        head + a + _with_length(b, len(b) - 8 + 5) + _with_length(c, 2**32 - 1)
    ),
    "a length of two tracks": lambda head, a, b, c: (
        head + a + _with_length(b, len(b) + len(c) - 8) + c
    ),
    "no End of Track": lambda head, a, b, c: head + a + _without_end(b) + _without_end(c),
    "bytes after End of Track": lambda head, a, b, c: (
        head + a + _with_length(b + b"\0" * 7, len(b) - 1) + c
    ),
    "one track counted": lambda head, a, b, c: head[:10] + b"\0\1" + head[12:] + a + b + c,
    "a longer header": lambda head, a, b, c: (
        _with_length(head[:12] + head[12:] + b"\0\0", 8) + a + b + c
    ),
    "a wrong length of the header": lambda head, a, b, c: _with_length(head, 99) + a + b + c,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_breaks_the_standard_loses_no_note(damage, whole, tmp_path):
    (tmp_path / "x.mid").write_bytes(DAMAGES[damage](*_chunks(whole)))
    first, second = read_midi(tmp_path / "x.mid")
    assert (first.name, first.program, first.notes) == ("piano", 0, FIRST)
    assert (second.name, second.program, second.notes) == ("bass", 33, SECOND)


def test_any_end_before_the_last_track_is_cut_short(whole, tmp_path):
    path = tmp_path / "cut.mid"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.mid: not a readable MIDI file"):
            read_midi(path)


def test_type_2_with_one_track_is_type_0(tmp_path):
    write_midi(tmp_path / "x.mid", [Part("", 0, False, FIRST)])
    head, tempo, track = _chunks((tmp_path / "x.mid").read_bytes())
    (tmp_path / "x.mid").write_bytes(head[:8] + b"\0\2\0\1" + head[12:] + track)
    assert read_notes(tmp_path / "x.mid") == FIRST
    (tmp_path / "x.mid").write_bytes(head[:8] + b"\0\2\0\2" + head[12:] + tempo + track)
    with pytest.raises(ValueError, match="type 2"):
        read_notes(tmp_path / "x.mid")


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"\x00\x40\x40", "no status"),
        (b"\x00\xf4", "no status"),
        (b"\xff\xff\xff\xff\xff\x00", "more than four bytes"),
        (b"\x00\xff\x7f\xff\xff\xff\x7f", "cut short"),
    ],
)
def test_damaged_events_are_named(tail, message, tmp_path):
    head = b"MThd\0\0\0\x06\0\1\0\1\x01\xe0"
    (tmp_path / "x.mid").write_bytes(head + b"MTrk" + struct.pack(">I", len(tail)) + tail)
    with pytest.raises(ValueError, match=rf"x\.mid: .*track at byte 14 is .*{message}"):
        read_midi(tmp_path / "x.mid")


def test_names_are_utf_8_or_latin_1_or_of_the_instrument(tmp_path):
    names = [("track_name", "Flügel", "utf-8"), ("track_name", "Flügel", "latin-1")]
    for kind, name, charset in [*names, ("instrument_name", "Flügel", "utf-8")]:
        file = mido.MidiFile(charset=charset)
        on = mido.Message("note_on", note=60)
        file.tracks.append(mido.MidiTrack([mido.MetaMessage(kind, name=name), on]))
        file.save(tmp_path / "x.mid")
        assert [part.name for part in read_midi(tmp_path / "x.mid")] == ["Flügel"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_never_crash(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed.mid"
    write_midi(path, [Part("piano", 0, False, FIRST)])
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=5)):
        content[at] = byte
    path.write_bytes(content)
    try:
        read_midi(path, sustain_pedal=True)
    except ValueError as error:
        assert "changed.mid" in str(error)


def nested_notes():
    """Notes of two pitches that begin and end anywhere; those that begin together are longer from
    note to note, and no two of one pitch begin within a few milliseconds."""
    note = st.tuples(
        st.integers(0, 40), st.integers(1, 60), st.sampled_from((60, 61)), st.integers(1, 127)
    )
    return st.lists(note, max_size=30, unique_by=lambda row: (row[0], row[2]))


@settings(max_examples=200, deadline=None)
@given(nested_notes(), st.booleans(), st.sampled_from((61.7, 120.0)))
@example([(0, 40, 60, 90), (10, 10, 60, 50), (12, 3, 60, 7)], False, 120.0)
def test_notes_inside_others_come_back_as_written(tmp_path_factory, rows, is_drum, bpm):
    path = tmp_path_factory.getbasetemp() / "nested.mid"
    notes = _notes(*[(on / 10, (on + size) / 10, pitch, loud) for on, size, pitch, loud in rows])
    write_midi(path, [Part("x", 8, is_drum, notes)], bpm=bpm)
    parts = read_midi(path)
    assert len(parts) == bool(rows)
    for part in parts:
        assert (part.name, part.program, part.is_drum) == ("x", 8, is_drum)
        np.testing.assert_array_equal(part.notes.pitches, notes.pitches)
        np.testing.assert_array_equal(part.notes.velocities, notes.velocities)
        np.testing.assert_allclose(part.notes.intervals, notes.intervals, atol=1e-3)
    assert len(read_midi_file(path).tracks) == 2
