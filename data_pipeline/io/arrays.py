"""Files of numpy arrays, .npz: read without pickles, in memory that their size bounds."""

import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cerberus_jax.outside import quoted, refusing

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes
_MAX_GROWTH = 1032  # of deflate
_IS_ENCRYPTED = 1
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(
    path: str | os.PathLike,
    expected: str,
    *,
    names: Iterable[str] | None = None,
    without: Iterable[str] = (),
    remedy: str = "",
) -> dict[str, np.ndarray]:
    """Arrays by name.

    Args:
        path: the file.
        expected: what it should be, for the message.
        names: those to read; None for all.
        without: those to leave out.
        remedy: what to do about another file, for the message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is none of arrays, or lacks one of `names`.
    """
    with refusing(path, expected, remedy=remedy), zipfile.ZipFile(path) as archive:
        members = {_name_of(member): member for member in archive.infolist()}
        _check_sizes(members, Path(path).stat().st_size)
        wanted = members if names is None else list(names)
        if missing := [name for name in wanted if name not in members]:
            raise ValueError(f"no array {missing[0]}, it has {quoted(sorted(members))}")
        return {name: _read(archive, members[name]) for name in wanted if name not in without}


def check_arrays(arrays: Mapping[str, np.ndarray], forms: Mapping[str, tuple[str, str]]) -> None:
    """Check kinds and shapes of arrays.

    Args:
        arrays: by name.
        forms: for each name the kind of its numbers, as `numpy.dtype.kind` ("i" for "u" too), and
            the names of its axes, those of one name being of one length.

    Raises:
        ValueError: naming the array that is missing or of another kind or shape.
    """
    lengths = {}
    for name, (kind, axes) in forms.items():
        if name not in arrays:
            raise ValueError(f"no array {name}")
        array, axes = arrays[name], axes.split()
        if array.dtype.kind.replace("u", "i") != kind or array.ndim != len(axes):
            raise ValueError(f"{name} of kind {kind} with {len(axes)} axes expected")
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: finite numbers expected")
        for axis, length in zip(axes, array.shape, strict=True):
            if lengths.setdefault(axis, length) != length:
                raise ValueError(f"{name} of {lengths[axis]} {axis} expected, it has {length}")


def _name_of(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _check_sizes(members: dict[str, zipfile.ZipInfo], size: int) -> None:
    for name, member in members.items():
        if member.compress_type not in _METHODS or member.flag_bits & _IS_ENCRYPTED:
            raise ValueError(f"{quoted(name)} is encrypted, or compressed otherwise than by numpy")
    growth = max((_MAX_GROWTH ** (m.compress_type > 0) for m in members.values()), default=1)
    announced = sum(member.file_size for member in members.values())
    if announced > growth * size:
        raise ValueError(f"{announced} bytes of arrays announced, which {size} cannot hold")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array; its header is held against the bytes that are there before memory is taken."""
    name = quoted(_name_of(member))
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADER_READERS:
            raise ValueError(f"{name} is of format {version}, 1.0 or 2.0 expected")
        shape, _, dtype = _HEADER_READERS[version](file)
        num_bytes = member.file_size - file.tell()
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"{name} is no array of numbers or text")
    announced = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or announced != num_bytes:
        raise ValueError(f"{name} announces {quoted(shape)} of {dtype}, {num_bytes} bytes there")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
