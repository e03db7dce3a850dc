"""What a Slakh-shaped tree holds: tracks, splits, stems, classes, known defects.

Files are tested for existence, because the flags of metadata.yaml do not tell it, and classes come
from program numbers, because the class name "Strings (continued)" holds choirs too. Stems of bass
sound one octave below their MIDI.
"""

import logging
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from cerberus_jax.outside import DAMAGE, quoted
from data_pipeline.corpora import slakh_splits
from data_pipeline.corpora.corpus import Archive, Corpus, Option
from data_pipeline.corpora.track import (
    OTHER_INSTRUMENT,
    Stem,
    Track,
    existing_root,
    in_order,
)
from data_pipeline.instruments import instrument_of
from data_pipeline.io.audio_files import named_files
from data_pipeline.io.folders import files_below
from data_pipeline.io.yaml_files import read_yaml

BASS_SHIFT = -12
RENDERER_WITHOUT_DEFECTS = "minislakh"  # the top-level key `renderer` of our own trees
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")  # in quotes
FOLDERS = "folders"  # as `splits`: what the tree's own folders are called

_NOISE, _PITCH, _AUDIO = "white noise", "wrong pitch", "audio missing"
_LONG, _HELD = "labels too long", "one held note"
KNOWN_BAD = {  # slakh-utils issues 17 and 21, and the problem list of slakh-pytorch-dataset
    ("Track00262", "S01"): "labels too short",
    ("Track00357", "S03"): _NOISE,
    ("Track00377", "S07"): _NOISE,
    ("Track00385", "S00"): _NOISE,
    ("Track00398", "S00"): _NOISE,
    ("Track00400", "S00"): _NOISE,
    ("Track00404", "S03"): _LONG,
    ("Track00496", "S01"): _PITCH,
    ("Track00629", "S01"): _NOISE,
    ("Track00633", "S01"): _NOISE,
    ("Track00737", "S01"): _LONG,
    ("Track00749", "S01"): _NOISE,
    ("Track00893", "S01"): _LONG,
    ("Track01500", "S12"): _HELD,
    ("Track01500", "S13"): _HELD,
    ("Track01629", "S00"): _NOISE,
    ("Track01876", "S01"): _AUDIO,
    ("Track01908", "S05"): _AUDIO,
    ("Track01918", "S10"): _PITCH,
    ("Track01929", "S04"): "wrong octave",
    ("Track01931", "S01"): _PITCH,
    ("Track01937", "S03"): _PITCH,
    ("Track01993", "S01"): _AUDIO,
    ("Track02024", "S13"): _AUDIO,
}


def scan(
    root: str | os.PathLike,
    *,
    corpus: str = "slakh2100",
    bass_octave_correction: bool = True,
    splits: str = "",
    sustain_pedal: bool = False,
) -> list[Track]:
    """All tracks of a Slakh-shaped tree, sorted by split and name.

    No audio and no notes are read.

    Args:
        root: the tree; the tracks lie in it, or in folders named after their splits.
        corpus: 'slakh2100', 'babyslakh' or 'minislakh'.
        bass_octave_correction: shift the labels of bass by -12; never done for trees of MiniSlakh.
        splits: 'redux', 'orig' or 'split2' (see slakh_splits) go by the number of the track,
            whatever published folder it lies in; 'folders' keeps the folders; '' is redux for
            Slakh2100 and folders for the others. Folders of other names than the published ones,
            and those of MiniSlakh, are always kept. BabySlakh, which has neither folders nor
            published splits: tracks 1-14 train, 15-17 validation, 18-20 test.
        sustain_pedal: lengthen notes by the pedal.

    Raises:
        FileNotFoundError: if `root` is no folder.
        ValueError: if it holds no track, or two of one name in one split.
    """
    splits = splits or ("redux" if corpus == "slakh2100" else FOLDERS)
    if splits not in (*slakh_splits.RULES, FOLDERS):
        known = ", ".join((*slakh_splits.RULES, FOLDERS))
        raise ValueError(f"--splits={splits}: unknown; expected one of {known}")
    root = existing_root(root)
    files = [path for path in files_below(root, max_depth=3) if path.name == "metadata.yaml"]
    tracks = [_track(file, bass_octave_correction, sustain_pedal) for file in files]
    if not tracks:
        raise ValueError(
            f"--root={root}: no track found; expected folders such as TrackXXXXX/ or "
            "train/TrackXXXXX/ that hold metadata.yaml, stems/ and MIDI/"
        )
    return in_order(_with_splits(tracks, root, corpus, splits))


def _with_splits(tracks: list[Track], root: Path, corpus: str, splits: str) -> list[Track]:
    """The tracks with their splits; those of MiniSlakh come with FOLDERS as split."""
    result, elsewhere = [], []
    for track in tracks:
        folder = _split_folder(track.path, root)
        rule = FOLDERS if track.split == FOLDERS else splits
        split = _split(track.id, folder, corpus, rule)
        if folder and folder != split:
            elsewhere.append(f"{folder}/{track.id} is {split}")
        result.append(replace(track, split=split))
    if elsewhere:
        logging.warning(
            "--splits=%s moves %d tracks out of their folders (%s, ...); "
            "--splits=folders keeps the folders",
            splits,
            len(elsewhere),
            elsewhere[0],
        )
    return result


def _split_folder(folder: Path, root: Path) -> str:
    """The name of the split folder that a track lies in, '' if it lies in none."""
    parent = folder.parent.name
    if root in (folder, folder.parent) or re.match(r"(babyslakh|slakh)", parent, re.IGNORECASE):
        return ""
    return parent


def _split(name: str, folder: str, corpus: str, splits: str) -> str:
    digits = re.search(r"\d+", name)
    number = int(digits.group()) if digits else 0
    published = folder in ("", *slakh_splits.SPLITS) and 1 <= number <= slakh_splits.NUM_TRACKS
    if splits != FOLDERS and published:
        return slakh_splits.RULES[splits](number)
    if folder or not published:
        return folder or "train"
    if corpus == "babyslakh":
        return "train" if number <= 14 else "validation" if number <= 17 else "test"
    return slakh_splits.orig(number)


def _track(file: Path, bass_octave_correction: bool, sustain_pedal: bool) -> Track:
    """The track of a metadata.yaml; its split is still open, but for FOLDERS in our own trees."""
    folder = file.parent
    try:
        metadata = read_yaml(file, "the metadata of a track", {"stems": {}})
        entries = [(str(key), entry) for key, entry in metadata["stems"].items()]
        entries.sort(key=lambda item: item[0])
        own = metadata.get("renderer") == RENDERER_WITHOUT_DEFECTS
        uuid = metadata.get("UUID")
    except ValueError as error:
        # Without the folders above: a tree that was moved is still the same tree.
        reason = f"{folder.name}/{file.name}: {str(error).removeprefix(f'{file}: ')}"
        return Track(folder.name, "", folder, (), (("*", reason),))
    stems, skipped = [], []
    for key, entry in entries:
        stem, reason = _stem(folder, key, entry)
        if stem and not own:
            reason = KNOWN_BAD.get((folder.name, key), "")
        if reason or stem is None:
            skipped.append((key, reason))
            continue
        if stem.instrument == "bass" and bass_octave_correction and not own:
            stem = replace(stem, pitch_shift=BASS_SHIFT)
        stems.append(replace(stem, sustain_pedal=sustain_pedal and not stem.is_drum))
    is_name_of_the_song = isinstance(uuid, str) and uuid != folder.name
    return Track(
        *(folder.name, FOLDERS if own else "", folder, tuple(stems), tuple(skipped)),
        uuid=uuid if is_name_of_the_song else "",
    )


def _stem(folder: Path, key: str, entry) -> tuple[Stem | None, str]:
    try:
        program, is_drum = int(entry["program_num"]), _is_true(entry["is_drum"])
        if not 0 <= program < 256:
            raise ValueError(f"a program expected, got {program}")
    except DAMAGE:
        return None, "metadata.yaml gives no program_num and is_drum"
    if not re.fullmatch(r"[\w-]+", key):
        return None, f"not a name for a file: {quoted(key)}"
    audio = named_files(folder / "stems", key)
    midi = folder / "MIDI" / f"{key}.mid"
    instrument = instrument_of(program, is_drum=is_drum)
    if not audio or not midi.is_file():
        missing = "no MIDI file" if audio else "no audio file"
        return None, f"{missing} ({instrument})" if instrument else OTHER_INSTRUMENT
    path, *others = audio
    stem = Stem(key, instrument, program, is_drum, path, midi, other_audio=tuple(others))
    return stem, ""


def _is_true(value) -> bool:
    """A truth value, quoted or not."""
    if not isinstance(value, str):
        return bool(value)
    if value.strip().lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"true or false expected, got {value!r}")
    return value.strip().lower() in _TRUE


def _a_metadata_file(root: Path) -> Path | None:
    patterns = ("metadata.yaml", "*/metadata.yaml", "*/*/metadata.yaml", "*/*/*/metadata.yaml")
    return next((path for pattern in patterns for path in root.glob(pattern)), None)


def _looks_like_slakh(root: Path) -> bool:
    return _a_metadata_file(root) is not None and not (
        _looks_like_babyslakh(root) or _looks_like_minislakh(root)
    )


def _looks_like_babyslakh(root: Path) -> bool:
    return "baby" in root.name.lower()


def _looks_like_minislakh(root: Path) -> bool:
    file = _a_metadata_file(root)
    return (
        file is not None and f"renderer: {RENDERER_WITHOUT_DEFECTS}".encode() in file.read_bytes()
    )


_OPTIONS = (
    Option(
        "splits",
        "its published splits, or the folders as they are (default: redux for slakh2100, folders "
        "for the others).",
        (*slakh_splits.RULES, FOLDERS),
    ),
    Option(
        "bass_octave_correction",
        "shift bass labels by -12, to what is heard (default: yes).",
    ),
    Option("sustain_pedal", "lengthen notes by the sustain pedal (default: no)."),
)
SLAKH2100 = Corpus(
    partial(scan, corpus="slakh2100"),
    options=_OPTIONS,
    archives=(
        Archive(
            "https://zenodo.org/records/4599666/files/slakh2100_flac_redux.tar.gz?download=1",
            "md5:f4b71b6c45ac9b506f59788456b3f0c4",
            "slakh2100_flac_redux",
            growth=1.1,
        ),
    ),
    looks_like=_looks_like_slakh,
)
BABYSLAKH = Corpus(
    partial(scan, corpus="babyslakh"),
    options=_OPTIONS,
    archives=(
        Archive(
            "https://zenodo.org/records/4603870/files/babyslakh_16k.tar.gz?download=1",
            "md5:311096dc2bde7d61c97e930edbfc7f78",
            "babyslakh_16k",
        ),
    ),
    looks_like=_looks_like_babyslakh,
)
MINISLAKH = Corpus(
    partial(scan, corpus="minislakh"),
    options=_OPTIONS,
    elsewhere="MiniSlakh is rendered here: python -m data_pipeline.minislakh --out=DIR",
    looks_like=_looks_like_minislakh,
)
