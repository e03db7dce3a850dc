"""MAPS: pieces (MUS) and isolated notes (ISOL) of nine pianos, and their notes.

The pieces of the two Disklavier pianos (ENSTDk*) are the customary test set. Most of them are also
played by other pianos: those recordings, and the isolated notes of the test pianos, are left out
('omitted'). Notes are lengthened by the sustain pedal, which only the MIDI files tell.
"""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from cerberus_jax.outside import refusing
from data_pipeline.corpora.corpus import Corpus, Option
from data_pipeline.corpora.track import (
    Stem,
    Track,
    existing_root,
    first_file,
    in_order,
    read_midi_notes,
)
from data_pipeline.io.audio_files import best_first, is_audio_name
from data_pipeline.io.folders import files_below

SECTIONS = ("MUS", "ISOL")
TEST_PIANOS = "ENSTDk"
VALIDATION_EVERY = 10  # each tenth training piece, in the order of their names, on all pianos
VELOCITY = 100  # the text labels have none


def scan(
    root: str | os.PathLike,
    *,
    maps_sections: Sequence[str] = SECTIONS,
    sustain_pedal: bool = True,
) -> list[Track]:
    """The recordings below `root`, wherever their folders lie.

    Pieces are called `MAPS_MUS-<piece>_<piano>`, isolated notes `MAPS_ISOL_<kind>_..._<piano>`.
    Excerpts longer than a recording of isolated notes never meet it.

    Args:
        root: folder of the unpacked archives.
        maps_sections: which of SECTIONS to use.
        sustain_pedal: lengthen notes by the pedal.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if it holds no such recording, or a section is unknown.
    """
    if not maps_sections or set(maps_sections) - set(SECTIONS):
        given = ",".join(maps_sections)
        raise ValueError(f"--maps_sections={given}: expected some of {', '.join(SECTIONS)}")
    root = existing_root(root)
    recordings = {}
    files = (path for path in files_below(root) if is_audio_name(path))
    for path in sorted(best_first(files), key=lambda path: path.parent):
        match = re.fullmatch(r"MAPS_(MUS|ISOL)[-_](.+)_([^_]+)", path.stem)
        if match and match.group(1) in maps_sections:
            recordings.setdefault(path.stem, ([], *match.groups()))[0].append(path)
    if not recordings:
        raise ValueError(
            f"--root={root}: no recording of {' or '.join(maps_sections)} found; expected "
            "<piano>/MUS/MAPS_MUS-<piece>_<piano>.wav (MAPS is given out on request: "
            "https://hal.inria.fr/inria-00544155)"
        )
    splits = _splits({name: rest for name, (_, *rest) in recordings.items()})
    tracks = []
    for name, ((path, *others), *_) in sorted(recordings.items()):
        split = splits[name]
        labels = first_file(path.with_suffix(suffix) for suffix in (".mid", ".txt"))
        if labels is None:
            tracks.append(Track(name, split, path.parent, (), (("piano", "no MIDI or text file"),)))
            continue
        pedal = sustain_pedal and labels.suffix == ".mid"
        stem = Stem(
            *("piano", "piano", 0, False, path, labels),
            sustain_pedal=pedal,
            other_audio=tuple(others),
        )
        tracks.append(Track(name, split, path.parent, (stem,)))
    return in_order(tracks)


def _splits(recordings: dict[str, list[str]]) -> dict[str, str]:
    """The split of each recording, given its section, piece and piano."""
    pieces = {name: rest for name, rest in recordings.items() if rest[0] == "MUS"}
    tested = {piece for _, piece, piano in pieces.values() if piano.startswith(TEST_PIANOS)}
    if pieces and not tested:
        logging.warning(
            "MAPS: the test pianos %s* are not there, so no piece of theirs can be left out of "
            "training",
            TEST_PIANOS,
        )
    untested = sorted({piece for _, piece, _ in pieces.values()} - tested)
    validation = set(untested[VALIDATION_EVERY - 1 :: VALIDATION_EVERY])
    splits = {}
    for name, (section, piece, piano) in recordings.items():
        if piano.startswith(TEST_PIANOS):
            splits[name] = "test" if section == "MUS" else "omitted"
        elif section == "MUS" and piece in tested:
            splits[name] = "omitted"
        else:
            splits[name] = "validation" if section == "MUS" and piece in validation else "train"
    return splits


def read_notes(stem: Stem) -> Notes:
    """The notes of a recording, from its MIDI or text file."""
    if stem.notes_path.suffix == ".mid":
        return read_midi_notes(stem)
    return read_text(stem.notes_path)


def read_text(path: str | os.PathLike) -> Notes:
    """The notes of a MAPS text file: OnsetTime, OffsetTime, MidiPitch under one header line.

    Raises:
        ValueError: if the file is something else.
    """
    rows = []
    with refusing(path, "a MAPS label file"):
        for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]:
            if line.strip():
                onset, offset, pitch = line.split()
                rows.append((float(onset), float(offset), int(pitch)))
        intervals = np.array([row[:2] for row in rows], np.float64).reshape(-1, 2)
        pitches = np.array([row[2] for row in rows], np.int64)
        return Notes(intervals, pitches, np.full(len(rows), VELOCITY))


def _looks_like_maps(root: Path) -> bool:
    return any(root.glob("*/MUS")) or any(root.glob("MUS"))


MAPS = Corpus(
    scan,
    read_notes,
    (
        Option("maps_sections", "use MUS or ISOL alone (default: both).", SECTIONS, several=True),
        Option("sustain_pedal", "lengthen notes by the sustain pedal (default: yes)."),
    ),
    elsewhere=(
        "MAPS is given out on request only: register at the address in its description, "
        "https://hal.inria.fr/inria-00544155, unpack the archives of the nine pianos (AkPnBcht, "
        "AkPnBsdf, AkPnCGdD, AkPnStgb, ENSTDkAm, ENSTDkCl, SptkBGAm, SptkBGCl, StbgTGd2) into one "
        "folder and name it with --root"
    ),
    looks_like=_looks_like_maps,
)
