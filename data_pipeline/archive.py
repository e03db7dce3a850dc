"""Unpacks archives from the net: nothing leaves the target folder, which is whole or not there.

Links and special files are refused altogether, so no later member can be written through one; the
corpora hold plain files only.
"""

import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

from tqdm import tqdm

RESERVE = 100 << 20  # bytes to leave free on the disk


def unpack(path: str | os.PathLike, target: str | os.PathLike, *, progress: bool = True) -> Path:
    """Unpack a zip or tar archive.

    Args:
        path: the archive.
        target: a folder to be made; what an earlier, interrupted call left there is removed.
        progress: show a progress bar.

    Returns:
        The folder with the content: the archive's only top folder, otherwise `target`.

    Raises:
        ValueError: if a member would leave `target` or is no plain file, or the archive is damaged.
        OSError: if the disk is too full.
    """
    path, target = Path(path), Path(target)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(path):
            _unzip(path, target, progress)
        else:
            _untar(path, target, progress)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        shutil.rmtree(target)
        raise ValueError(f"{path}: not an archive, or damaged ({error})") from error
    except (ValueError, OSError):
        shutil.rmtree(target)
        raise
    top = list(target.iterdir())
    return top[0] if len(top) == 1 and top[0].is_dir() else target


def need_space(folder: str | os.PathLike, size: float | int, purpose: str) -> None:
    """Raise OSError unless the disk of `folder` (it need not exist yet) has `size` bytes free."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size + RESERVE > free:
        raise OSError(
            f"{folder}: {purpose} needs {(size + RESERVE) / 1e9:.1f} GB, {free / 1e9:.1f} GB are "
            "free; make room, or choose a folder on another disk"
        )


def _untar(path: Path, target: Path, progress: bool) -> None:
    size = path.stat().st_size
    bar = tqdm(desc="unpacking", total=size, unit="B", unit_scale=True, disable=not progress)
    with path.open("rb") as file, bar, tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            _check(path, member.name, member.isreg() or member.isdir())
            need_space(target, member.size, f"unpacking {path.name}")
            tar.extract(member, target, filter="data")
            bar.update(file.tell() - bar.n)


def _unzip(path: Path, target: Path, progress: bool) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            mode = stat.S_IFMT(member.external_attr >> 16)
            _check(path, member.filename, mode in (0, stat.S_IFREG, stat.S_IFDIR))
        need_space(target, sum(member.file_size for member in members), f"unpacking {path.name}")
        for member in tqdm(members, "unpacking", unit="file", disable=not progress):
            archive.extract(member, target)


def _check(path: Path, name: str, is_plain: bool) -> None:
    parts = re.split(r"[/\\]", name)
    if not parts[0] or ".." in parts or ":" in parts[0]:
        raise ValueError(
            f"{path}: refused, member {name!r} would leave the target folder; nothing was kept"
        )
    if not is_plain:
        raise ValueError(
            f"{path}: refused, member {name!r} is neither file nor folder; nothing was kept"
        )
