"""The songs among files and folders; what of a folder is left out is said, with the reason."""

import logging
from collections.abc import Sequence
from pathlib import Path

from data_pipeline.io.audio_files import NOT_READ, can_be_opened, is_audio_name

_MAX_NAMES = 20  # of what a folder holds besides songs


def find_songs(paths: Sequence[str | Path], *, warn: bool = True) -> list[Path]:
    """The files among `paths` and the audio files in the folders among them, in order.

    A file of a folder is taken if its name is that of a kind of audio, or libsndfile can open it.

    Raises:
        FileNotFoundError: if a file or folder does not exist.
        ValueError: if a folder has no audio file.
    """
    songs = []
    for path in map(Path, paths):
        if path.is_dir():
            songs += _songs_in(path, warn=warn)
        elif path.exists():
            songs.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such song or folder")
    return list(dict.fromkeys(songs))


def _songs_in(folder: Path, *, warn: bool) -> list[Path]:
    songs, left_out = [], {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if reason := _reason_against(path):
            left_out.setdefault(reason, []).append(path.name)
        else:
            songs.append(path)
    lines = [f"left out {_listed(names)}: {reason}" for reason, names in left_out.items()]
    if not songs:
        raise ValueError("; ".join([f"{folder}: no audio files in this folder", *lines]))
    for line in lines if warn else ():
        logging.warning("%s: %s", folder, line)
    return songs


def _reason_against(path: Path) -> str:
    """Why a file or folder in a folder of songs is no song; '' if it is one."""
    if path.is_dir():
        return "a folder in this folder; name it to have its songs too"
    if not path.exists():
        return "a link to nothing"
    if not path.is_file():
        return "not a file"
    return "" if is_audio_name(path) or can_be_opened(path) else NOT_READ


def _listed(names: list[str]) -> str:
    num_more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {num_more} more" if num_more > 0 else "")
