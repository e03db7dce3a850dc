"""The folder of a song: what it is called, what may lie there already, and how it is replaced."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.io.files import fitting_name
from experiments.songs.notes import MIDI_FILE, NOTES_FILE
from experiments.songs.page import PAGE_FILE, SOUNDS
from experiments.songs.stems import stem_files

_MAX_NAMES = 5


def output_folders(songs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The folder of each song; songs of one name are told apart by the folder they come from.

    A name too long for a folder is cut, and ends in a checksum then.
    """
    stems = [song.stem for song in songs]
    folders = [song.resolve().parent for song in songs]
    same_place = [(folder, song.stem) for folder, song in zip(folders, songs, strict=True)]
    names = [
        song.stem if stems.count(song.stem) == 1 else f"{folder.name}_{song.stem}"
        for folder, song in zip(folders, songs, strict=True)
    ]
    names = [  # those of one folder, by their endings
        fitting_name(song.name if same_place.count(place) > 1 else name)
        for song, place, name in zip(songs, same_place, names, strict=True)
    ]
    for name in names:
        if names.count(name) > 1:
            same = [str(song) for song, own in zip(songs, names, strict=True) if own == name]
            raise ValueError(
                f"{' and '.join(same)} would both be written to {out / name}; "
                "separate them one by one, with another --out"
            )
    return {song: out / name for song, name in zip(songs, names, strict=True)}


def check_place(folder: Path, instruments: Sequence[str], *, overwrite: bool) -> list[Path]:
    """Whether a song's files may go into `folder`.

    Args:
        folder: the song's.
        instruments: those of the network.
        overwrite: whether files of an earlier call may be replaced.

    Returns:
        the files in it that are not of this command and stay.

    Raises:
        ValueError: if it is a file, holds only other things, or holds an earlier call's files and
            these may not be replaced.
    """
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; move it, or choose another --out")
    kept = kept_files(folder, instruments)
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    if kept and len(kept) == len(files):
        raise ValueError(
            f"{folder} holds other things ({listed(kept)}) and nothing that was separated; move "
            "it, or choose another --out"
        )
    if not overwrite:
        raise ValueError(f"{folder} exists already; --overwrite replaces it")
    return kept


def kept_files(folder: Path, instruments: Sequence[str]) -> list[Path]:
    """The files in a song's folder that no call has written, relative to it."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in files if not _is_output(name, instruments))


def listed(files: Sequence[Path]) -> str:
    """The first few names, and how many more there are."""
    more = len(files) - _MAX_NAMES
    return ", ".join(map(str, files[:_MAX_NAMES])) + (f" and {more} more" if more > 0 else "")


def put_in_place(folder: Path, new_folder: Path, instruments: Sequence[str]) -> None:
    """Puts the new files in the place of all that an earlier call has written; files that are not
    of this command stay.

    Args:
        folder: the song's.
        new_folder: the new files, in a folder on the same disk.
        instruments: those of the network.
    """
    if not folder.exists():
        os.rename(new_folder, folder)
        return
    for name in kept_files(folder, instruments):
        if not (new_folder / name).exists():
            (new_folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, new_folder / name)
    old_folder = new_folder.with_name("before")
    try:
        os.rename(folder, old_folder)
        os.rename(new_folder, folder)
    finally:  # whatever came between, Ctrl-C too
        if not folder.exists():
            os.rename(old_folder, folder)


def _is_output(file: Path, instruments: Sequence[str]) -> bool:
    """Whether a call may have written this file, whatever its options."""
    files = {MIDI_FILE, NOTES_FILE, PAGE_FILE} | stem_files(instruments)
    return file.parts[0] == SOUNDS or str(file) in files
