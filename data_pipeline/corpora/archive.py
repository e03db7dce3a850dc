"""Unpacks archives from the net: nothing leaves the target folder, which is whole or not there.

Links and special files are refused altogether, so no later member can be written through one; the
corpora hold plain files only.
"""

import errno
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cerberus_jax.outside import DAMAGE, quoted, reason_of
from data_pipeline.cli.progress import Progress

RESERVE = 100 << 20  # bytes to leave free on the disk
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IS_ENCRYPTED = 1  # flag of a member of a zip archive


class _Refused(ValueError):
    """A member that is not unpacked, whole as it may be."""


def unpack(path: str | os.PathLike, target: str | os.PathLike, *, progress: bool = True) -> Path:
    """Unpack a zip or tar archive.

    Args:
        path: the archive.
        target: a folder to be made; what an earlier, interrupted call left there is removed.
        progress: show a progress bar.

    Returns:
        The folder with the content: the archive's only top folder, otherwise `target`.

    Raises:
        ValueError: if a member would leave `target`, is no plain file, is encrypted or compressed
            otherwise than by deflate, or the archive is damaged.
        OSError: if the disk is too full.
    """
    path, target = Path(path), Path(target)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    place = ""
    try:
        for name in (_unzip if zipfile.is_zipfile(path) else _untar)(path, target, progress):
            place = f" at or after member {quoted(name)}"
    except (OSError, *DAMAGE) as error:
        shutil.rmtree(target)
        # EINVAL: zipfile was sent to a place before the begin of the file
        of_the_disk = isinstance(error, OSError) and error.errno != errno.EINVAL
        if of_the_disk or isinstance(error, _Refused):
            raise
        raise ValueError(
            f"{path}: not an archive, or damaged{place} ({reason_of(error)})"
        ) from error
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


def _untar(path: Path, target: Path, progress: bool) -> Iterator[str]:
    """Unpacks one member after another; yields the name of each before."""
    size = path.stat().st_size
    bar = Progress(desc="unpacking", total=size, unit="B", unit_scale=True, disable=not progress)
    with path.open("rb") as file, bar, tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            yield member.name
            _check(path, member.name, member.isreg() or member.isdir())
            need_space(target, member.size, f"unpacking {path.name}")
            tar.extract(member, target, filter="data")
            bar.update(file.tell() - bar.n)
        while rest := tar.fileobj.read(1 << 20):
            if rest.strip(b"\0"):  # tarfile takes a header that it cannot read for the end
                raise tarfile.ReadError("unreadable header")


def _unzip(path: Path, target: Path, progress: bool) -> Iterator[str]:
    """Unpacks one member after another; yields the name of each before."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            mode = stat.S_IFMT(member.external_attr >> 16)
            _check(path, member.filename, mode in (0, stat.S_IFREG, stat.S_IFDIR))
            _check_method(path, member)
        need_space(target, sum(member.file_size for member in members), f"unpacking {path.name}")
        for member in Progress(members, "unpacking", unit="file", disable=not progress):
            yield member.filename
            archive.extract(member, target)


def _check_method(path: Path, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & _IS_ENCRYPTED:
        raise _Refused(
            f"{path}: member {quoted(member.filename)} is encrypted; unpack the archive with its "
            "password by another program"
        )
    if member.compress_type not in _METHODS:
        raise _Refused(
            f"{path}: member {quoted(member.filename)} is compressed by method "
            f"{member.compress_type}, only 0 (stored) and 8 (deflate) are read; unpack the "
            "archive by another program"
        )


def _check(path: Path, name: str, is_plain: bool) -> None:
    components = re.split(r"[/\\]", name)
    if not components[0] or ".." in components or ":" in components[0]:
        raise _Refused(
            f"{path}: refused, member {quoted(name)} would leave the target folder; nothing was "
            "kept"
        )
    if not is_plain:
        raise _Refused(
            f"{path}: refused, member {quoted(name)} is neither file nor folder; nothing was kept"
        )
