"""The folder of a song: what it is called, what may lie there already, and how it is replaced."""

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from data_pipeline.io.files import fitting_name
from experiments.songs.work_folder import BEFORE

RECORD = ".separated"
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


def check_place(
    folder: Path, files: Collection[str], *, overwrite: bool, song: Path | None = None
) -> list[Path]:
    """Whether a song's files may go into `folder`.

    Args:
        folder: the song's.
        files: the names of those that will be written into it.
        overwrite: whether files of an earlier call may be replaced.
        song: the audio file that is separated.

    Returns:
        what is in it that no call has written, which stays.

    Raises:
        ValueError: if it is a file, holds only other things, holds an earlier call's files and
            these may not be replaced, or if something would be lost: a file of the user's that has
            the name of a new one, or the song itself.
    """
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; move it, or choose another --out")
    kept, written = kept_files(folder), _recorded(folder)
    if kept and not written:
        raise ValueError(
            f"{folder} holds other things ({listed(kept)}) and no {RECORD}, the list of what an "
            "earlier call wrote; move it, or choose another --out"
        )
    if not overwrite:
        raise ValueError(f"{folder} exists already; --overwrite replaces it")
    if taken := [name for name in kept if str(name) in files]:
        raise ValueError(
            f"{folder / taken[0]} is not of an earlier call and would be replaced; move it, or "
            "choose another --out"
        )
    if song and song.resolve() in {(folder / name).resolve() for name in written}:
        raise ValueError(f"{song} lies in the folder that it would replace; choose another --out")
    return kept


def kept_files(folder: Path) -> list[Path]:
    """Files, links and empty folders in a song's folder that no call wrote, by their place."""
    written = _recorded(folder)
    return sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if (path.is_symlink() or not path.is_dir() or not any(path.iterdir()))
        and path.relative_to(folder) not in written
    )


def listed(files: Sequence[Path]) -> str:
    """The first few names, and how many more there are."""
    more = len(files) - _MAX_NAMES
    return ", ".join(map(str, files[:_MAX_NAMES])) + (f" and {more} more" if more > 0 else "")


def put_in_place(folder: Path, new_folder: Path) -> None:
    """Puts the new files in the place of all that an earlier call has written; what is not of this
    command stays.

    Args:
        folder: the song's.
        new_folder: the new files, in a folder on the same disk.

    Raises:
        ValueError: if one that stays has the name of a new one.
    """
    _write_record(new_folder)
    if not folder.exists():
        os.rename(new_folder, folder)
        return
    for name in kept_files(folder):
        _keep(folder / name, new_folder / name)
    old_folder = new_folder.with_name(BEFORE)
    try:
        os.rename(folder, old_folder)
        os.rename(new_folder, folder)
    finally:  # whatever came between, Ctrl-C too
        if not folder.exists():
            os.rename(old_folder, folder)


def _keep(path: Path, place: Path) -> None:
    if place.exists():
        raise ValueError(f"{path} is not of an earlier call and would be replaced; move it")
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        place.mkdir()
    else:
        shutil.copy2(path, place, follow_symlinks=False)


def _write_record(folder: Path) -> None:
    """The names of all files of a call, by which the next one knows them from those of the user."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    (folder / RECORD).write_text("".join(f"{name}\n" for name in [*names, RECORD]))


def _recorded(folder: Path) -> set[Path]:
    """The files that a call has written, relative to the song's folder; none without a record."""
    try:
        return {Path(name) for name in (folder / RECORD).read_text(errors="replace").splitlines()}
    except FileNotFoundError:
        return set()
