"""FLAC files: streams joined end to end, and headers that say no length or too short a one.

The header counts samples in 36 bits, where 0 means unknown. Each frame says in its own header which
sample it begins with, so the last frame tells whether the header is right.
"""

from data_pipeline.io.containers.link import Layout, Link, joined

_HEADER_BYTES = 42  # "fLaC", the head of a block, 34 bytes of facts
_LENGTH_AT = 21  # its low 4 bits and the 4 bytes behind it
_TAG_BYTES = 128  # ID3v1, behind all else
_WINDOW = 1 << 16  # bytes that hold the last frame
_BLOCK_SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608} | {i: 1 << i for i in range(8, 16)}


def flac_links(data) -> Layout:
    """The streams of a FLAC file, which may begin with a tag."""
    starts, at = [], 0
    while (at := data.find(b"fLaC", at)) >= 0:
        if data[at + 4 : at + 5] in (b"\x00", b"\x80") and data[at + 5 : at + 8] == b"\0\0\x22":
            starts.append(at)
        at += 4
    starts = [start for start in starts if start + _HEADER_BYTES <= len(data)]
    if not starts:
        return Layout()
    links, doubts = [], []
    end = len(data) - (_TAG_BYTES if data[-_TAG_BYTES:][:3] == b"TAG" else 0)
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        announced = _announced(data, start)
        if announced == 0:
            doubts.append("its header says no length; it was read to its end")
        elif _goes_beyond(data, start, stop, announced):
            doubts.append(f"its header announces {announced} samples; it was read to its end")
            links.append(_without_length(data, start, stop))
            continue
        links.append(Link((range(start, stop),)))
    if links == [Link((range(starts[0], len(data)),))]:
        links = []
    return Layout(tuple(links) or (Link(),), (*joined(len(links)), *dict.fromkeys(doubts)))


def _announced(data, start) -> int:
    return int.from_bytes(data[start + _LENGTH_AT : start + _LENGTH_AT + 5], "big") & (2**36 - 1)


def _without_length(data, start, stop) -> Link:
    """The stream with a header that says no length."""
    header = bytearray(data[start : start + _HEADER_BYTES])
    header[_LENGTH_AT] &= 0xF0
    header[_LENGTH_AT + 1 : _LENGTH_AT + 5] = bytes(4)
    return Link((bytes(header), range(start + _HEADER_BYTES, stop)), has_length=False)


def _goes_beyond(data, start, stop, announced) -> bool:
    """Whether the last frame ends with a later sample than announced."""
    fixed_size = int.from_bytes(data[start + 8 : start + 10], "big")
    window = data[max(start + _HEADER_BYTES, stop - _WINDOW) : stop]
    at = len(window)
    while (at := window.rfind(b"\xff", 0, at)) >= 0:
        end = _frame_end(window[at : at + 16], fixed_size)
        if end is not None and end > announced and _crc(window[at:], 16, 0x8005) == 0:
            return True
    return False


def _frame_end(head: bytes, fixed_size: int) -> int | None:
    """The sample after a frame that begins with these bytes; None if they begin no frame."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    num_ones = 8 - (head[4] ^ 0xFF).bit_length()  # as in UTF-8: how many bytes the number has
    num_more = max(num_ones - 1, 0)
    if size_code == 0 or rate_code == 15 or num_ones in (1, 8):
        return None
    number = head[4] & (127 >> num_ones)
    for byte in head[5 : 5 + num_more]:
        number = number << 6 | byte & 63
    at = 5 + num_more
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    size = int.from_bytes(head[at : at + size_bytes], "big") + 1
    size = size if size_bytes else _BLOCK_SIZES[size_code]
    at += size_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(head) or _crc(head[: at + 1], 8, 0x07):
        return None
    return (number if head[1] & 1 else number * fixed_size) + size


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """The remainder of the bytes; 0 where they end with their own."""
    code, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        code ^= byte << (bits - 8)
        for _ in range(8):
            code = (code << 1 ^ (polynomial if code & top else 0)) & mask
    return code
