"""MAPS: whole pieces (MUS folders) of nine pianos, and their notes.

The two Disklavier pianos (ENSTDk*) are the customary test set. Most of their pieces are also played
by other pianos: those recordings are left out of training.
"""

import os
import re
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.slakh_index import AUDIO_SUFFIXES, Stem, Track

TEST_PIANOS = "ENSTDk"
VALIDATION_EVERY = 10  # each tenth training piece, in the order of their names, on all pianos
VELOCITY = 100  # the text labels have none


def scan(root: str | os.PathLike, *, bass_octave_correction: bool = True) -> list[Track]:
    """The recordings `MAPS_MUS-<piece>_<piano>` in MUS folders below `root`.

    Args:
        root: folder of the unpacked archives.
        bass_octave_correction: unused; the corpus has no bass.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if it holds no such recording.
    """
    del bass_octave_correction
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"--root={root}: no such folder")
    found = {}
    for path in sorted(root.rglob("MUS/MAPS_MUS-*")):
        match = re.fullmatch(r"MAPS_MUS-(.+)_(\w+)", path.stem)
        if match and path.suffix.lower() in AUDIO_SUFFIXES:
            found[path.stem] = (path, *match.groups())
    if not found:
        raise ValueError(
            f"--root={root}: no recording found; expected <piano>/MUS/MAPS_MUS-<piece>_<piano>.wav "
            "(MAPS is given out on request: https://hal.inria.fr/inria-00544155)"
        )
    tested = {piece for _, piece, piano in found.values() if piano.startswith(TEST_PIANOS)}
    others = sorted({piece for _, piece, _ in found.values()} - tested)
    validation = set(others[VALIDATION_EVERY - 1 :: VALIDATION_EVERY])
    tracks = []
    for name, (path, piece, piano) in found.items():
        if piano.startswith(TEST_PIANOS):
            split = "test"
        elif piece in tested:
            split = "omitted"
        else:
            split = "validation" if piece in validation else "train"
        labels = [path.with_suffix(suffix) for suffix in (".mid", ".txt")]
        label = next((file for file in labels if file.is_file()), None)
        if label is None:
            tracks.append(Track(name, split, path.parent, (), (("piano", "no MIDI or text file"),)))
            continue
        stem = Stem("piano", "piano", 0, False, path, label, sustain_pedal=True)
        tracks.append(Track(name, split, path.parent, (stem,)))
    return sorted(tracks, key=lambda track: (track.split, track.id))


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
