"""Whole songs: those of a split, and their notes as tracks and table."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.activity import usable_stems
from data_pipeline.midi_io import Part
from data_pipeline.plan import Excerpt, Planner
from data_pipeline.slakh_index import instrument_of
from data_pipeline.transforms import PCM_SCALE

MIDI_FILE = "transcription.mid"
NOTES_FILE = "notes.csv"

# General MIDI program (from 0) that plays an instrument's track.
PROGRAMS = {"piano": 0, "guitar": 25, "bass": 33, "drums": 0, "strings": 48}
DRUMS = ("drums",)


def whole_songs(planner: Planner) -> Iterator[Excerpt]:
    """The songs of the planner's split that have every instrument, in the catalogue's order.

    Where excerpts take one stem per instrument, a song has them all: two guitars are one source.

    Raises:
        ValueError: if there is none.
    """
    config, catalogue = planner.config, planner.catalogue
    t, pcm = catalogue.tables, catalogue.pcm()
    corpora = config.corpora or ("",) * len(config.instruments)
    stems = [
        usable_stems(catalogue, name, corpus, config.split)
        for name, corpus in zip(config.instruments, corpora, strict=True)
    ]
    tracks = sorted(set.intersection(*(set(t.stem_tracks[found].tolist()) for found in stems)))
    if not tracks:
        raise ValueError(
            f"{config.split}: no song of {catalogue.root} has {', '.join(config.instruments)} "
            "together; score excerpts instead of songs"
        )
    for track in tracks:
        length = int(t.track_num_samples[track])
        samples = pcm[int(t.track_corpora[track])]
        sources = np.zeros((len(stems), length), np.float32)
        notes = []
        for slot, found in enumerate(stems):
            own = found[t.stem_tracks[found] == track].tolist()
            for stem in own:
                start = int(t.stem_pcm_start[stem])
                sources[slot] += samples[start : start + length] / PCM_SCALE
            notes.append(Notes.joined([catalogue.notes(stem) for stem in own]))
        yield Excerpt(str(t.track_ids[track]), sources, tuple(notes))


def write_notes(path: Path, notes: dict[str, Notes]) -> None:
    """All notes as a table, by onset: times in seconds, MIDI pitches and velocities."""
    names = np.repeat(list(notes), [len(found) for found in notes.values()])
    times, pitches, velocities = (
        np.concatenate([getattr(found, field) for found in notes.values()])
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
        Part(name=name, program=PROGRAMS.get(name, 0), is_drum=name in DRUMS, notes=found)
        for name, found in notes.items()
    ]


def by_instrument(
    parts: Sequence[Part], instruments: Sequence[str]
) -> tuple[dict[str, Notes], list[Part]]:
    """Notes by instrument, told by the name of a track or else by its program; none for those
    without a track. Then the parts that fit no instrument."""
    found, others = {name: [] for name in instruments}, []
    for part in parts:
        names = (part.name.lower(), instrument_of(part.program, is_drum=part.is_drum))
        name = next((name for name in names if name in found), None)
        if name:
            found[name].append(part.notes)
        else:
            others.append(part)
    return {name: Notes.joined(notes) for name, notes in found.items()}, others
