"""MAPS: pieces (MUS) and isolated notes (ISOL) of nine pianos, and their notes.

The pieces of the two Disklavier pianos (ENSTDk*) are the customary test set. Most of them are also
played by other pianos: those recordings, and the isolated notes of the test pianos, are left out
('omitted'). Notes are lengthened by the sustain pedal, which only the MIDI files tell.
"""

import logging
import os
import re
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.corpora.track import AUDIO_SUFFIXES, Stem, Track, existing_root

SECTIONS = ("MUS", "ISOL")
TEST_PIANOS = "ENSTDk"
VALIDATION_EVERY = 10  # each tenth training piece, in the order of their names, on all pianos
VELOCITY = 100  # the text labels have none


def scan(root: str | os.PathLike, *, sections: tuple[str, ...] = SECTIONS) -> list[Track]:
    """The recordings below `root`, wherever their folders lie.

    Pieces are called `MAPS_MUS-<piece>_<piano>`, isolated notes `MAPS_ISOL_<kind>_..._<piano>`.
    Excerpts longer than a recording of isolated notes never meet it.

    Args:
        root: folder of the unpacked archives.
        sections: which of SECTIONS to use.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if it holds no such recording, or a section is unknown.
    """
    if not sections or set(sections) - set(SECTIONS):
        given = ",".join(sections)
        raise ValueError(f"--maps_sections={given}: expected some of {', '.join(SECTIONS)}")
    root = existing_root(root)
    found = {}
    for path in sorted(root.rglob("MAPS_*")):
        match = re.fullmatch(r"MAPS_(MUS|ISOL)[-_](.+)_([^_]+)", path.stem)
        is_audio = path.suffix.lower() in AUDIO_SUFFIXES
        if match and is_audio and match.group(1) in sections:
            found[path.stem] = (path, *match.groups())
    if not found:
        raise ValueError(
            f"--root={root}: no recording of {' or '.join(sections)} found; expected "
            "<piano>/MUS/MAPS_MUS-<piece>_<piano>.wav (MAPS is given out on request: "
            "https://hal.inria.fr/inria-00544155)"
        )
    splits = _splits({name: rest for name, (_, *rest) in found.items()})
    tracks = []
    for name, (path, *_) in found.items():
        split = splits[name]
        labels = [path.with_suffix(suffix) for suffix in (".mid", ".txt")]
        label = next((file for file in labels if file.is_file()), None)
        if label is None:
            tracks.append(Track(name, split, path.parent, (), (("piano", "no MIDI or text file"),)))
            continue
        stem = Stem("piano", "piano", 0, False, path, label, sustain_pedal=True)
        tracks.append(Track(name, split, path.parent, (stem,)))
    return sorted(tracks, key=lambda track: (track.split, track.id))


def _splits(found: dict[str, list[str]]) -> dict[str, str]:
    """The split of each recording, given its section, piece and piano."""
    pieces = {name: rest for name, rest in found.items() if rest[0] == "MUS"}
    tested = {piece for _, piece, piano in pieces.values() if piano.startswith(TEST_PIANOS)}
    if pieces and not tested:
        logging.warning(
            "MAPS: the test pianos %s* are not there, so no piece of theirs can be left out of "
            "training",
            TEST_PIANOS,
        )
    others = sorted({piece for _, piece, _ in pieces.values()} - tested)
    validation = set(others[VALIDATION_EVERY - 1 :: VALIDATION_EVERY])
    splits = {}
    for name, (section, piece, piano) in found.items():
        if piano.startswith(TEST_PIANOS):
            splits[name] = "test" if section == "MUS" else "omitted"
        elif section == "MUS" and piece in tested:
            splits[name] = "omitted"
        else:
            splits[name] = "validation" if section == "MUS" and piece in validation else "train"
    return splits


def read_notes(path: str | os.PathLike) -> Notes:
    """The notes of a MAPS text file: OnsetTime, OffsetTime, MidiPitch under one header line.

    Raises:
        ValueError: if the file is something else.
    """
    path = Path(path)
    rows = []
    try:
        for line in path.read_text().splitlines()[1:]:
            if line.strip():
                onset, offset, pitch = line.split()
                rows.append((float(onset), float(offset), int(pitch)))
        table = np.array(rows, np.float64).reshape(-1, 3)
        return Notes(table[:, :2], table[:, 2].astype(np.int64), np.full(len(table), VELOCITY))
    except ValueError as error:
        raise ValueError(f"{path}: not a MAPS label file ({error})") from error
