"""Compares MiniSlakh's notes with those of a genuine Slakh tree.

    python -m data_pipeline.minislakh.statistics --slakh=ROOT --num_songs=200

Figures of one stem: polyphony is the time-mean number of sounding notes while any sounds; note
length is the median; notes per second counts only the whole seconds in which the stem sounds (real
songs rest for minutes); pitch is the median, of basses as they sound (Slakh writes them an octave
higher, which is corrected here).
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.corpora.slakh import BASS_SHIFT, instrument_of
from data_pipeline.io.midi import read_notes
from data_pipeline.io.yaml_files import read_yaml
from data_pipeline.minislakh.composer import compose
from data_pipeline.minislakh.dice import song_seed
from data_pipeline.minislakh.programs import INSTRUMENTS

_FORM = {"stems": {str: {"program_num": int, "is_drum": bool}}}
FIGURES = ("polyphony", "note_seconds", "notes_per_second")


@dataclass(frozen=True)
class Figures:
    """What the notes of one stem are like."""

    polyphony: float | int
    note_seconds: float | int
    notes_per_second: float | int
    pitch: float | int


def figures(notes: Notes) -> Figures:
    """The figures of a stem; it must hold a note."""
    if not len(notes):
        raise ValueError("figures: expected at least one note, got none")
    times = notes.intervals.T.ravel()
    changes = np.repeat([1, -1], len(notes))
    order = np.lexsort((-changes, times))  # beginnings first: a note of no length still counts
    sounding = np.cumsum(changes[order])[:-1]
    spans = np.diff(times[order])
    total = spans[sounding > 0].sum()
    polyphony = float((spans * sounding).sum() / total) if total > 0 else 1.0
    first, last = np.floor(notes.onsets), np.floor(np.maximum(notes.offsets, notes.onsets))
    seconds = {s for a, b in zip(first, last, strict=True) for s in range(int(a), int(b) + 1)}
    return Figures(
        polyphony,
        float(np.median(notes.offsets - notes.onsets)),
        len(notes) / len(seconds),
        float(np.median(notes.pitches)),
    )


def minislakh_figures(num_songs: int, *, seed: int = 0) -> dict[str, list[Figures]]:
    """Figures of every part of the first training songs."""
    found = {name: [] for name in INSTRUMENTS}
    for index in range(num_songs):
        for part in compose(song_seed(seed, "train", index), seconds=20.0).parts:
            found[part.name].append(figures(part.notes))
    return found


def slakh_figures(root: str | os.PathLike) -> dict[str, list[Figures]]:
    """Figures of the stems of a Slakh tree that have notes, with or without audio; of MiniSlakh's
    classes alone."""
    found = {name: [] for name in INSTRUMENTS}
    for file in sorted(Path(root).glob("**/metadata.yaml")):
        metadata = read_yaml(file, "the metadata of a track", _FORM)
        for name, stem in metadata["stems"].items():
            instrument = instrument_of(stem["program_num"], is_drum=stem["is_drum"])
            midi = file.parent / "MIDI" / f"{name}.mid"
            if instrument not in found or not midi.is_file():
                continue
            notes = read_notes(midi)
            if instrument == "bass" and metadata.get("renderer") != "minislakh":
                notes = notes.transposed(BASS_SHIFT)
            if len(notes):
                found[instrument].append(figures(notes))
    if not any(found.values()):
        raise ValueError(f"slakh: {root} holds no stem of piano, guitar, bass, drums or strings")
    return found


def medians(stems: list[Figures]) -> dict[str, float]:
    """The median of each figure over stems."""
    return {name: float(np.median([getattr(s, name) for s in stems])) for name in FIGURES}


def table(ours: dict[str, list[Figures]], theirs: dict[str, list[Figures]]) -> str:
    """Both side by side, with the factor between them."""
    lines = [
        f"{'':8} {'stems':>9} | "
        + " | ".join(f"{name:>8} ours slakh factor" for name in ("poly", "seconds", "per s"))
        + " | median pitches: ours, slakh"
    ]
    for name in INSTRUMENTS:
        mine, genuine = ours[name], theirs[name]
        row = [f"{name:8} {len(mine):4} {len(genuine):4}"]
        if genuine:
            a, b = medians(mine), medians(genuine)
            row += [f"{a[k]:13.3f} {b[k]:5.3f} {a[k] / b[k]:6.2f}" for k in FIGURES]
            spans = [(min(s.pitch for s in x), max(s.pitch for s in x)) for x in (mine, genuine)]
            row.append(", ".join(f"{low:.0f}..{high:.0f}" for low, high in spans))
        lines.append(" | ".join(row))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    flags = CommandFlags(
        "python -m data_pipeline.minislakh.statistics --slakh=DIR",
        "Print figures of MiniSlakh's notes beside those of a genuine Slakh tree.",
    )
    flags.path("slakh", "", "Root of a genuine Slakh tree (MIDI is enough).")
    flags.integer("num_songs", 200, "MiniSlakh training songs to compose.", lowest=1)
    return run_command(_print_table, flags, argv=argv)


def _print_table(flags: CommandFlags) -> None:
    if not flags.slakh:
        raise ValueError("--slakh=DIR is needed, see --help")
    genuine = slakh_figures(flags.slakh)
    print(table(minislakh_figures(flags.num_songs), genuine))


if __name__ == "__main__":
    sys.exit(main())
