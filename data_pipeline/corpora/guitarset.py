"""GuitarSet: what it holds, and its notes. A JAMS file is JSON; no JAMS library is needed.

The six strings are annotated one by one with fractional pitches; here they are merged and rounded.
The labels of two recordings are late and get shifted. The corpus has no split: player 05 is test,
player 04 validation.
"""

import os
from pathlib import Path

import numpy as np

from cerberus_jax.json_files import check_form, parse_json
from cerberus_jax.notes import Notes
from cerberus_jax.outside import refusing
from data_pipeline.corpora.corpus import Archive, Corpus
from data_pipeline.corpora.track import Stem, Track, existing_root, in_order
from data_pipeline.io.audio_files import best_first, is_audio_name
from data_pipeline.io.folders import files_below

LATE_SECONDS = {"04_BN3-154-E_comp": 0.409, "04_Jazz1-200-B_comp": 0.309}  # GuitarSet issue 5
STEEL_GUITAR = 25
VELOCITY = 100  # the corpus has none
SPLIT_OF_PLAYER = {"04": "validation", "05": "test"}


def scan(root: str | os.PathLike) -> list[Track]:
    """The recordings below `root`: `*.jams` anywhere, with `*_mic.wav`, `.flac`, ... anywhere.

    Args:
        root: folder of the unpacked archives.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if it holds no JAMS file, or one of them twice.
    """
    root = existing_root(root)
    files = list(files_below(root))
    labels = [path for path in files if path.suffix == ".jams"]
    names = [jams.name for jams in labels]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"--root={root}: {repeated[0]} is there more than once; keep one copy of the corpus"
        )
    audio = {}
    for path in best_first(filter(is_audio_name, files)):
        audio.setdefault(path.stem, []).append(path)
    tracks = []
    for jams in labels:
        name = jams.stem
        split = SPLIT_OF_PLAYER.get(name[:2], "train")
        own = audio.get(f"{name}_mic")
        if own is None:
            tracks.append(Track(name, split, jams.parent, (), (("mic", "no audio file"),)))
            continue
        shift = -LATE_SECONDS.get(name, 0.0)
        path, *others = own
        stem = Stem(
            *("mic", "guitar", STEEL_GUITAR, False, path, jams),
            time_shift=shift,
            other_audio=tuple(others),
        )
        tracks.append(Track(name, split, jams.parent, (stem,)))
    if not tracks:
        raise ValueError(
            f"--root={root}: no .jams file found; expected GuitarSet's annotation/ and "
            "audio_mono-mic/ folders"
        )
    return in_order(tracks)


def read_notes(stem: Stem) -> Notes:
    """The notes of a recording."""
    return read_jams(stem.notes_path)


def read_jams(path: str | os.PathLike) -> Notes:
    """The notes of all strings, rounded to semitones; exact repetitions on one string are dropped.

    Raises:
        ValueError: if the file is no JAMS file with `note_midi` annotations.
    """
    with refusing(path, "a JAMS file with note_midi annotations"):
        annotations = parse_json(Path(path).read_bytes(), numbers=False)
        check_form(annotations, {"annotations": [{"namespace": str, "data": object}]})
        strings = [a["data"] for a in annotations["annotations"] if a["namespace"] == "note_midi"]
        if not strings:
            raise ValueError("there are none")
        check_form(strings, [[{"time": float, "duration": float, "value": float}]], "note_midi")
        rows = set()
        for string, data in enumerate(strings):
            for note in data:
                onset, length = float(note["time"]), float(note["duration"])
                rows.add((onset, onset + length, round(note["value"]), string))
        table = np.array(sorted(rows), np.float64).reshape(-1, 4)
        pitches = np.array([row[2] for row in sorted(rows)], np.int64)
        return Notes(table[:, :2], pitches, np.full(len(table), VELOCITY))


def _looks_like_guitarset(root: Path) -> bool:
    return any(root.glob("*.jams")) or any(root.glob("*/*.jams"))


_FILES = "https://zenodo.org/records/3371780/files"
GUITARSET = Corpus(
    scan,
    read_notes,
    archives=(
        Archive(
            f"{_FILES}/annotation.zip?download=1",
            "md5:b39b78e63d3446f2e54ddb7a54df9b10",
            "annotation",
            growth=10.0,
        ),
        Archive(
            f"{_FILES}/audio_mono-mic.zip?download=1",
            "md5:275966d6610ac34999b58426beb119c3",
            "audio_mono-mic",
        ),
    ),
    looks_like=_looks_like_guitarset,
)
