"""Who plays the parts of a MIDI file."""

import mido
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part, read_midi
from experiments.songs.notes import by_instrument, who_plays

FIVE = ("piano", "guitar", "bass", "drums", "strings")


def part(name, program=0, *, is_drum=False, has_program=True, shares_track=False):
    return Part(name, program, is_drum, Notes.empty(), has_program, shares_track)


@pytest.mark.parametrize(
    ("of_file", "instrument"),
    [
        (part("Electric Bass", has_program=False), "bass"),
        (part("Electric Bass", 0), "bass"),
        (part("Piano", 73), "piano"),
        (part("Track 1", 33), "bass"),
        (part("Track 1", 0), "piano"),
        (part("Track 1", has_program=False), ""),
        (part("", has_program=False), ""),
        (part("Piano Man", 25, shares_track=True), "guitar"),
        (part("Piano Man", is_drum=True, has_program=False, shares_track=True), "drums"),
        (part("Piano Man", has_program=False, shares_track=True), "piano"),
        (part("", is_drum=True, has_program=False), "drums"),
        (part("Taiko Drum", is_drum=True), "drums"),
        (part("Organ", 0), "organ"),
    ],
)
def test_names_then_programs_and_in_shared_tracks_programs_first(of_file, instrument):
    assert who_plays(of_file) == instrument


def test_named_tracks_without_programs_are_perfect(tmp_path):
    """The notes of five tracks on one channel, told by names alone."""
    names = ("Acoustic Grand Piano", "Lead Guitar", "Electric Bass", "Drum Kit", "String Ensemble")
    file = mido.MidiFile()
    for pitch, name in enumerate((*names, "Melody", "Hammond Organ"), 60):
        messages = [mido.Message(kind, note=pitch, time=9) for kind in ("note_on", "note_off")]
        file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=name), *messages]))
    file.save(tmp_path / "x.mid")
    notes, others = by_instrument(read_midi(tmp_path / "x.mid"), FIVE)
    assert [notes[name].pitches.tolist() for name in FIVE] == [[60], [61], [62], [63], [64]]
    assert [(other.name, who_plays(other)) for other in others] == [
        ("Melody", ""),
        ("Hammond Organ", "organ"),
    ]
