"""Containers that say how many bytes of sound follow: WAV, RF64, W64, AIFF, SVX, CAF, AU.

A size beyond the end of the file means that the file is cut off, unless it is one of those that
are written where the length is not known yet. Then all that follows is sound.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from data_pipeline.io.containers.link import Layout, Link, joined

_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_CHECKED_BYTES = 1 << 20  # of what follows the end; zeros only fill a block of a disk


class Sound(NamedTuple):
    """Where the sound of one stream lies.

    Attributes:
        start: its first byte.
        size: its bytes, as announced.
        size_at: where the size is written.
        size_format: how, for struct.
        overhead: what the written size counts beside the sound.
        stop: where the walk from chunk to chunk ended.
    """

    start: int
    size: int
    size_at: int
    size_format: str
    overhead: int
    stop: int


def sized_links(data) -> Layout | None:
    """The streams of such a file; None if it is no such file, or has no sound.

    Raises:
        ValueError: if more bytes are announced than there are.
    """
    walk, position, is_as_written = _walker(data, 0), 0, True
    links, doubts = [], []
    while walk and (sound := walk(data, position)):
        available = len(data) - sound.start
        if _is_unknown(data, sound, available):
            links.append(_unsized(data, position, sound, available))
            doubts.append("its header says no length; all that follows was taken as sound")
            is_as_written = False
            break
        if sound.size > available:
            raise ValueError(
                f"damaged or cut short: {sound.size} bytes of sound announced, {available} there"
            )
        links.append(Link((range(position, sound.stop),)))
        position = sound.stop
        walk = _walker(data, position)
        if not walk and data[position : position + _CHECKED_BYTES].strip(b"\0"):
            doubts.append(f"{len(data) - position} bytes after its announced end were left out")
    if not links:
        return None
    if len(links) == 1 and is_as_written:
        links = [Link()]
    return Layout(tuple(links), (*joined(len(links)), *doubts))


def _is_unknown(data, sound, available) -> bool:
    """Whether the size stands for one that was not known when the header was written."""
    if sound.size == 0:
        return available > 0 and not _are_chunks(data, sound.start)
    written = sound.size + sound.overhead
    bits = 8 * struct.calcsize(sound.size_format)
    near_limits = any(limit - 8192 <= written <= limit for limit in (1 << bits, 1 << (bits - 1)))
    if not (near_limits or written in (2**32 - 1, 2**31 - 1)):
        return False
    return sound.size > available or not _are_chunks(data, sound.start + sound.size)


def _are_chunks(data, position) -> bool:
    """Whether chunks with readable names fill the file from here on (little or big endian)."""
    for order in "<>":
        at = position
        while at + 8 <= len(data) and all(32 <= byte < 127 for byte in data[at : at + 4]):
            at += 8 + struct.unpack_from(f"{order}I", data, at + 4)[0]
            at += at % 2
        if at in (len(data), len(data) + 1):
            return True
    return False


def _unsized(data, position, sound, available) -> Link:
    """The stream with the true size in its header."""
    max_size = 256 ** struct.calcsize(sound.size_format) - 1
    if available + sound.overhead > max_size:
        raise ValueError(
            f"its header says no length, and {available} bytes of sound are more than it could "
            "say; convert it to W64 or FLAC"
        )
    header = bytearray(data[position : sound.start])
    size = available + sound.overhead
    struct.pack_into(sound.size_format, header, sound.size_at - position, size)
    if data[position : position + 4] in (b"RIFF", b"RIFX", b"FORM"):
        whole = min(len(data) - position - 8, 2**32 - 1)
        struct.pack_into(sound.size_format, header, 4, whole)
    return Link((bytes(header), range(sound.start, len(data))))


def _walker(data, position) -> Callable | None:
    start = data[position : position + 16]
    if start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE":
        return _riff
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return _form
    if start == _W64_RIFF:
        return _w64
    return {b"caff": _caf, b".snd": _au, b"dns.": _au}.get(bytes(start[:4]))


def _riff(data, position) -> Sound | None:
    order = ">" if data[position : position + 4] == b"RIFX" else "<"
    long_size_at, sound, at = None, None, position + 12
    while at + 8 <= len(data) and _has_name(data, at):
        name, size = data[at : at + 4], struct.unpack_from(f"{order}I", data, at + 4)[0]
        if name in (b"RIFF", b"RIFX", b"RF64"):
            break
        if name == b"ds64" and at + 24 <= len(data):
            long_size_at = at + 16
        if name == b"data" and sound is None:
            sound = Sound(at + 8, size, at + 4, f"{order}I", 0, 0)
            if size == 2**32 - 1 and long_size_at:
                size = struct.unpack_from("<Q", data, long_size_at)[0]
                sound = Sound(at + 8, size, long_size_at, "<Q", 0, 0)
        at += 8 + size + size % 2
    return sound and sound._replace(stop=min(at, len(data)))


def _form(data, position) -> Sound | None:
    sound, at = None, position + 12
    while at + 8 <= len(data) and _has_name(data, at) and data[at : at + 4] != b"FORM":
        size = struct.unpack_from(">I", data, at + 4)[0]
        if data[at : at + 4] == b"SSND" and sound is None:
            sound = Sound(at + 16, max(size - 8, 0), at + 4, ">I", 8, 0)
        if data[at : at + 4] == b"BODY" and sound is None:
            sound = Sound(at + 8, size, at + 4, ">I", 0, 0)
        at += 8 + size + size % 2
    return sound and sound._replace(stop=min(at, len(data)))


def _w64(data, position) -> Sound | None:
    sound, at = None, position + 40
    while at + 24 <= len(data) and data[at : at + 16] != _W64_RIFF:
        size = struct.unpack_from("<Q", data, at + 16)[0]
        if data[at : at + 4] == b"data" and sound is None:
            sound = Sound(at + 24, max(size - 24, 0), at + 16, "<Q", 24, 0)
        at += max(-(-size // 8) * 8, 24)
    return sound and sound._replace(stop=min(at, len(data)))


def _caf(data, position) -> Sound | None:
    sound, at = None, position + 8
    while at + 12 <= len(data) and _has_name(data, at) and data[at : at + 4] != b"caff":
        size = struct.unpack_from(">Q", data, at + 4)[0]
        if data[at : at + 4] == b"data" and sound is None:
            sound = Sound(at + 16, max(size - 4, 0), at + 4, ">Q", 4, 0)
        at += 12 + size
    return sound and sound._replace(stop=min(at, len(data)))


def _au(data, position) -> Sound | None:
    if position + 24 > len(data):
        return None
    order = ">" if data[position : position + 4] == b".snd" else "<"
    offset, size = struct.unpack_from(f"{order}2I", data, position + 4)
    start = min(position + offset, len(data))
    if offset < 24:
        return None
    return Sound(start, size, position + 8, f"{order}I", 0, min(start + size, len(data)))


def _has_name(data, at) -> bool:
    return all(32 <= byte < 127 for byte in data[at : at + 4])
