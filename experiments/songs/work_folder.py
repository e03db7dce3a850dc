"""The hidden folder of a song that is under way, and what a killed call has left of one."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".separating."
_LOCK = "lock"
BEFORE = "before"  # the earlier result, while a new one takes its place


@contextlib.contextmanager
def work_folder(place: Path) -> Iterator[Path]:
    """A folder in `place` that is gone afterwards; a kill leaves it, unlocked.

    On a disk without locks there is none, and no later call takes the folder away.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place) as name:
        folder = Path(name)
        with (folder / "locking").open("w") as lock:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
                os.rename(folder / "locking", folder / _LOCK)  # a lock is held once it is seen
            yield folder


def sweep(place: Path) -> list[str]:
    """Removes what killed calls have left in `place`; a whole song that was about to be put into
    its place is put there.

    Returns:
        the names of the folders that are gone.
    """
    abandoned = [folder for folder in sorted(place.glob(f"{_PREFIX}*")) if _is_abandoned(folder)]
    for folder in abandoned:
        songs = [path for path in folder.iterdir() if path.is_dir() and path.name != BEFORE]
        if (folder / BEFORE).is_dir():  # killed between two renames
            for song in songs:
                if not (place / song.name).exists():
                    os.rename(song, place / song.name)
        shutil.rmtree(folder)
    return [folder.name for folder in abandoned]


def _is_abandoned(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # no lock yet, one that is held, or a disk without locks
        return False
    return True
