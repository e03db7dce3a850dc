"""MPEG audio (mp3) by its frames: how many there are is the only length that can be trusted.

A file may begin with a frame that holds no sound but says how many frames follow (a Xing, Info or
VBRI header). Without one the decoder guesses from the size of the first frame. So streams without
one that can be trusted get a new one, whose number of frames is never reached: the decoder then
goes on to the end.
"""

import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from data_pipeline.io.containers.link import Layout, Link, joined

_KBPS = {  # by (MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ = (44100, 48000, 32000)
_CANDIDATE = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]", re.DOTALL)
_MANY_FRAMES = 2**28


class _Kind(NamedTuple):
    """What a frame's header says; frames of one stream agree in all but the length."""

    length: int
    stream: tuple[int, bool, int, int]  # version, whether mono, layer, rate in Hz
    side_bytes: int


@dataclass
class _Stream:
    """The frames of one stream, with the header that announced them."""

    kind: _Kind
    header: tuple[int, bool] | None  # frames announced, and whether LAME's trimming follows
    frames: list[tuple[int, int]] = field(default_factory=list)  # (start, stop)


def id3_end(data, at: int) -> int:
    """Where the ID3v2 tags at this place end; the place itself if there are none."""
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 127
        at += 10 + size + (10 if data[at + 5] & 16 else 0)
    return at


def mpeg_links(data) -> Layout | None:
    """The streams of an mp3 file; None if no frames are found.

    Raises:
        ValueError: if there are fewer frames than a header announces.
    """
    streams = _streams(data)
    links, doubts = [], []
    for stream in streams:
        links += _links(data, stream, doubts)
    if not links:
        return None
    only = links[0]
    if len(links) == 1 and only.has_length and len(only.pieces) == 1:
        links = [Link()]
    return Layout(tuple(links), (*joined(len(streams)), *dict.fromkeys(doubts)))


def _links(data, stream, doubts) -> list[Link]:
    announced, is_trimmed = stream.header or (None, False)
    sound = stream.frames[1:] if stream.header else stream.frames
    if announced is None:
        doubts.append("no header says its length; it was read to its end")
        return [_rebuilt(data, stream, sound)] if sound else []
    # Some encoders count the header itself; none of those that write how much to trim does.
    if len(sound) < announced - (not is_trimmed):
        raise ValueError(f"damaged or cut short: {announced} frames announced, {len(sound)} there")
    if not is_trimmed:
        return [_rebuilt(data, stream, sound)] if sound else []
    links = [Link(_runs(stream.frames[: announced + 1]))]
    if rest := sound[announced:]:
        doubts.append(f"{len(rest)} frames more than its header announces; they are read too")
        links.append(_rebuilt(data, stream, rest))
    return links


def _rebuilt(data, stream, frames) -> Link:
    """These frames behind a header that makes the decoder go on to their end."""
    first = data[frames[0][0] : frames[0][0] + 4]
    head = bytes([first[0], first[1] | 1, 0x90 | first[2] & 0x0C, first[3]])
    kind = _kind(head)
    if stream.kind.stream[2] != 3 or kind is None:
        return Link(_runs(frames), has_length=False)
    tag = b"Xing" + struct.pack(">II", 1, _MANY_FRAMES)
    header = (head + bytes(kind.side_bytes) + tag).ljust(kind.length, b"\0")
    return Link((header, *_runs(frames)), has_length=False)


def _runs(frames) -> tuple[range, ...]:
    """The bytes of the frames, without those between them."""
    runs = []
    for start, stop in frames:
        if runs and runs[-1].stop == start:
            runs[-1] = range(runs[-1].start, stop)
        else:
            runs.append(range(start, stop))
    return tuple(runs)


def _streams(data) -> list[_Stream]:
    streams, at = [], 0
    while (at := _next_frame(data, at, streams)) is not None:
        kind = _kind(data[at : at + 4])
        header = _header(data, at, kind)
        if header or not streams or streams[-1].kind.stream != kind.stream:
            streams.append(_Stream(kind, header))
        streams[-1].frames.append((at, at + kind.length))
        at += kind.length
    return streams


def _next_frame(data, at, streams) -> int | None:
    """Where the next whole frame begins. Right behind a frame one is believed; elsewhere a second
    one must follow, or the end."""
    kind = _kind(data[at : at + 4])
    if kind and streams and kind.stream == streams[-1].kind.stream:
        return at if at + kind.length <= len(data) else None
    after_tag = id3_end(data, at)
    for match in _CANDIDATE.finditer(data, after_tag):
        place = match.start()
        kind = _kind(data[place : place + 4])
        stop = place + kind.length if kind else len(data) + 1
        if stop > len(data):
            continue
        follower = _kind(data[stop : stop + 4])
        if stop == len(data) or (follower and follower.stream == kind.stream):
            return place
    return None


def _header(data, at, kind) -> tuple[int | None, bool] | None:
    """The frames that a Xing, Info or VBRI header announces, and whether LAME's part follows."""
    frame = data[at : min(at + kind.length, at + 200)]
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return struct.unpack_from(">I", frame, 50)[0], False
    tag = 4 + kind.side_bytes
    if frame[tag : tag + 4] not in (b"Xing", b"Info"):
        return None
    flags, announced = struct.unpack_from(">II", frame.ljust(tag + 12, b"\0"), tag + 4)
    size = 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + (flags & 8) // 2
    is_trimmed = frame[tag + size : tag + size + 4] in (b"LAME", b"Lavf", b"Lavc")
    return (announced if flags & 1 else None), bool(flags & 1) and is_trimmed


@lru_cache(maxsize=4096)
def _kind(head: bytes) -> _Kind | None:
    """What these four bytes say if they are a frame's header; those of unknown length are none."""
    if len(head) < 4 or head[0] != 255 or head[1] < 0xE2:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    is_first = version == 3
    hertz = _HERTZ[rate] // {3: 1, 2: 2, 0: 4}[version]
    bits = 1000 * _KBPS[is_first, layer][bitrate - 1]
    if layer == 1:
        length = (12 * bits // hertz + padding) * 4
    else:
        length = (144 if layer == 2 or is_first else 72) * bits // hertz + padding
    is_mono = head[3] >> 6 == 3
    side_bytes = (17 if is_mono else 32) if is_first else (9 if is_mono else 17)
    return _Kind(length, (version, is_mono, layer, hertz), side_bytes)
