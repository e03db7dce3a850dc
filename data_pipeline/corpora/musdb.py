"""MUSDB18-HQ, and any songs of its shape: a folder per song, a file per stem, no notes.

What MUSDB18 calls "other" is the class `rest`. Files of further instruments, as other corpora of
this shape have them, are told by their names. A training song of the customary validation list is
in the split `validation`, whatever folder it lies in.
"""

import os
import re
from pathlib import Path

from data_pipeline.corpora.corpus import Archive, Corpus
from data_pipeline.corpora.track import Stem, Track, existing_root, in_order
from data_pipeline.instruments import DRUM_PROGRAM, INSTRUMENTS
from data_pipeline.io.audio_files import (
    NOT_READ,
    best_first,
    is_audio_name,
    is_other_audio_name,
)
from data_pipeline.io.folders import files_below

CLASS_OF_NAME = {  # of the names that are not those of classes
    "other": "rest",
    "others": "rest",
    "vocal": "vocals",
    "voice": "vocals",
    "drum": "drums",
    "guitars": "guitar",
    "acoustic_guitar": "guitar",
    "electric_guitar": "guitar",
    "bowed_strings": "strings",
}
SUMS = {"mixture", "mix", "linear_mixture", "accompaniment"}  # of the stems, no stems themselves
COMPRESSED = ".stem.mp4"
VALIDATION = {  # of musdb's own list, mus.yaml
    "ANiMAL - Rockshow",
    "Actions - One Minute Smile",
    "Alexander Ross - Goodbye Bolero",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Fergessen - Nos Palpitants",
    "James May - On The Line",
    "Johnny Lokke - Promises & Lies",
    "Leaf - Summerghost",
    "Meaxic - Take A Step",
    "Patrick Talbot - A Reason To Leave",
    "Skelpolu - Human Mistakes",
    "Traffic Experiment - Sirens",
    "Triviul - Angelsaint",
    "Young Griffo - Pennies",
}


def scan(root: str | os.PathLike) -> list[Track]:
    """The songs below `root`: SPLIT/SONG/STEM.wav, or SONG/STEM.wav, whose split is 'train'.

    Args:
        root: the tree, or the folder that holds it.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if it holds no song, two of one name in one split, or songs in the compressed
            form of MUSDB18.
    """
    root = existing_root(root)
    songs_of = {}
    files = list(files_below(root, max_depth=3))
    for path in files:
        is_stem = is_audio_name(path) or (is_other_audio_name(path) and not _is_compressed(path))
        if path.parent != root and is_stem:
            songs_of.setdefault(path.parent, []).append(path)
    songs = {folder.name for folder in songs_of}
    for path in filter(_is_compressed, files):
        if path.name.removesuffix(COMPRESSED) not in songs:
            raise ValueError(
                f"{path}: {COMPRESSED}, the compressed form of MUSDB18, is not read; take "
                "MUSDB18-HQ, or decode it to SONG/vocals.wav, ... with the musdb package's command "
                "musdbconvert"
            )
    if not songs_of:
        raise ValueError(
            f"--root={root}: no song found; expected folders such as train/SONG/ or SONG/ that "
            "hold vocals.wav, bass.wav, drums.wav and other.wav"
        )
    return in_order(_track(folder, files, root) for folder, files in songs_of.items())


def _file_name(item: tuple[str, list[Path]]) -> str:
    return item[1][0].name


def _is_compressed(path: Path) -> bool:
    return path.name.endswith(COMPRESSED)


def _track(folder: Path, files: list[Path], root: Path) -> Track:
    stems = []
    skipped = [(p.stem, f"{p.name}: {NOT_READ}") for p in files if is_other_audio_name(p)]
    files_of = {}
    for path in best_first(filter(is_audio_name, files)):
        files_of.setdefault(path.stem, []).append(path)
    for name, (path, *others) in sorted(files_of.items(), key=_file_name):
        word = re.sub(r"[\s-]+", "_", name.lower())
        instrument = CLASS_OF_NAME.get(word, word)
        if instrument in INSTRUMENTS:
            is_drum = INSTRUMENTS[instrument].is_drum
            program = DRUM_PROGRAM if is_drum else INSTRUMENTS[instrument].midi_program
            stem = Stem(name, instrument, program, is_drum, path, None, other_audio=tuple(others))
            stems.append(stem)
        elif word not in SUMS:
            skipped.append((name, "not the name of a class of instruments"))
    if not stems and not skipped:
        skipped.append(("*", "the mixture alone, without stems"))
    return Track(folder.name, _split(folder, root), folder, tuple(stems), tuple(skipped))


def _split(folder: Path, root: Path) -> str:
    parent = folder.parent
    is_whole_corpus = parent == root or re.match("musdb", parent.name, re.IGNORECASE)
    split = "train" if is_whole_corpus else parent.name
    return "validation" if split == "train" and folder.name in VALIDATION else split


def _looks_like_musdb(root: Path) -> bool:
    files = files_below(root, max_depth=3)
    return any(
        (path.stem == "vocals" and is_audio_name(path)) or _is_compressed(path) for path in files
    )


MUSDB18 = Corpus(
    scan,
    archives=(
        Archive(
            "https://zenodo.org/records/3338373/files/musdb18hq.zip?download=1",
            "sha256:baac80d0483c61d74b2e5f3be75fa557eec52898339e6aa45c1fa48833c5d21d",
            "musdb18hq",
            growth=1.5,
        ),
    ),
    looks_like=_looks_like_musdb,
)
