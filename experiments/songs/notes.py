"""Notes of a song as tracks and as a table, and the tracks of a file by instrument."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.instrument_names import instrument_named
from data_pipeline.instruments import INSTRUMENTS, instrument_of
from data_pipeline.io.midi import Part

MIDI_FILE = "transcription.mid"
NOTES_FILE = "notes.csv"


def write_notes(path: Path, notes: dict[str, Notes]) -> None:
    """All notes as a table, by onset: times in seconds, MIDI pitches and velocities."""
    names = np.repeat(list(notes), [len(own) for own in notes.values()])
    times, pitches, velocities = (
        np.concatenate([getattr(own, field) for own in notes.values()])
        for field in ("intervals", "pitches", "velocities")
    )
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("onset_seconds", "offset_seconds", "instrument", "pitch", "velocity"))
        for k in np.lexsort((pitches, names, np.round(times[:, 0], 4))).tolist():
            onset, offset = times[k].tolist()
            table.writerow((f"{onset:.4f}", f"{offset:.4f}", names[k], pitches[k], velocities[k]))


def parts_of(notes: dict[str, Notes]) -> list[Part]:
    """One MIDI track per instrument."""
    return [
        Part(
            name=name,
            program=INSTRUMENTS[name].midi_program,
            is_drum=INSTRUMENTS[name].is_drum,
            notes=own,
        )
        for name, own in notes.items()
    ]


def who_plays(part: Part) -> str:
    """The class of instruments of a part of a file, '' if nothing tells.

    The name of a track counts, then its program; in a track of several parts, whose name may be
    that of the song or of one of them, the program comes first. A file that sets no program says
    nothing by it, though players take a piano then.
    """
    named, shown = instrument_named(part.name), ""
    if part.has_program or part.is_drum:
        shown = instrument_of(part.program, is_drum=part.is_drum)
    if part.shares_track or (part.is_drum and named == "percussive"):
        return shown or named
    return named or shown


def by_instrument(
    parts: Sequence[Part], instruments: Sequence[str]
) -> tuple[dict[str, Notes], list[Part]]:
    """Notes by instrument, as `who_plays` tells it; none for those without a track. Then the parts
    that fit no instrument, or of which nothing tells who plays them."""
    notes, unassigned = {name: [] for name in instruments}, []
    for part in parts:
        name = who_plays(part)
        if name in notes:
            notes[name].append(part.notes)
        else:
            unassigned.append(part)
    return {name: Notes.joined(own) for name, own in notes.items()}, unassigned
