"""MUSDB18-HQ, and any songs of its shape: a folder per song, a file per stem, no notes.

What MUSDB18 calls "other" is the class `rest`. Files of further instruments, as other corpora of
this shape have them, are told by their names. A training song of the customary validation list is
in the split `validation`, whatever folder it lies in.
"""

import os
import re
from pathlib import Path

from data_pipeline.corpora.corpus import Archive, Corpus
from data_pipeline.corpora.track import AUDIO_SUFFIXES, Stem, Track, existing_root, in_order
from data_pipeline.instruments import DRUM_PROGRAM, INSTRUMENTS

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
    folders = sorted({path.parent for path in _files(root, "*/*") if _is_audio(path)})
    songs = {folder.name for folder in folders}
    for path in _files(root, f"*{COMPRESSED}"):
        if path.name.removesuffix(COMPRESSED) not in songs:
            raise ValueError(
                f"{path}: {COMPRESSED}, the compressed form of MUSDB18, is not read; take "
                "MUSDB18-HQ, or decode it to SONG/vocals.wav, ... with the musdb package's command "
                "musdbconvert"
            )
    if not folders:
        raise ValueError(
            f"--root={root}: no song found; expected folders such as train/SONG/ or SONG/ that "
            "hold vocals.wav, bass.wav, drums.wav and other.wav"
        )
    return in_order(_track(folder, root) for folder in folders)


def _files(root: Path, pattern: str) -> list[Path]:
    """The files of this pattern in `root` and in the two levels of folders below."""
    return [path for depth in ("", "*/", "*/*/") for path in sorted(root.glob(depth + pattern))]


def _is_audio(path: Path) -> bool:
    is_hidden = path.name.startswith(".")  # archives made on a Mac hold "._" files
    return path.suffix.lower() in AUDIO_SUFFIXES and not is_hidden and path.is_file()


def _track(folder: Path, root: Path) -> Track:
    stems, skipped = [], []
    files = {}
    for path in sorted(filter(_is_audio, folder.iterdir())):
        files.setdefault(path.stem, path)  # .flac before .wav
    for name, path in files.items():
        word = re.sub(r"[\s-]+", "_", name.lower())
        instrument = CLASS_OF_NAME.get(word, word)
        if instrument in INSTRUMENTS:
            is_drum = INSTRUMENTS[instrument].is_drum
            program = DRUM_PROGRAM if is_drum else INSTRUMENTS[instrument].midi_program
            stems.append(Stem(name, instrument, program, is_drum, path, None))
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
    files = [path for suffix in AUDIO_SUFFIXES for path in _files(root, f"*/vocals{suffix}")]
    return bool(files or _files(root, f"*{COMPRESSED}"))


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
