"""MPEG frames: what their headers announce, and what is made of it."""

import struct

import pytest

from data_pipeline.io.containers.link import Layout, Link
from data_pipeline.io.containers.mpeg import id3_end, mpeg_links
from tests.data_pipeline.io.broken_audio import encoded, mp3_frames, song

SONG = encoded(song(0.5), "MP3")
FRAMES = mp3_frames(SONG)
NUM_FRAMES = len(FRAMES) - 1


def announcing(frames: int, *, trimmed: bool, name: bytes = b"Xing") -> bytes:
    """A frame that says how many frames follow."""
    header = FRAMES[0]
    if trimmed:
        at = header.index(b"LAME")
        tag = header.index(b"Info") if b"Info" in header else header.index(b"Xing")
        return header[: tag + 8] + struct.pack(">I", frames) + header[tag + 12 : at] + header[at:]
    if name == b"VBRI":
        tag = bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", frames)
    else:
        tag = bytes(32) + name + struct.pack(">II", 1, frames)
    return (header[:4] + tag).ljust(len(header), b"\0")


def test_a_whole_file_is_one_stream_as_it_stands():
    assert mpeg_links(SONG) == Layout((Link(),), ())
    tag = b"ID3\4\0\0\0\0\1\1" + bytes(129)
    assert id3_end(tag + SONG, 0) == len(tag)
    assert id3_end(tag + tag + SONG, 0) == 2 * len(tag)
    assert mpeg_links(tag + SONG + b"TAG" + bytes(125)) == Layout((Link(),), ())
    assert mpeg_links(b"\xff\xfb\x90\x00" * 3) is None
    assert mpeg_links(b"\xff" * 1000) is None


@pytest.mark.parametrize("name", [b"Xing", b"Info", b"VBRI"])
def test_headers_without_trimming(name):
    """Some encoders count the frame of the header too."""
    for count in (NUM_FRAMES, NUM_FRAMES + 1):
        content = b"".join([announcing(count, trimmed=False, name=name), *FRAMES[1:]])
        layout = mpeg_links(content)
        assert layout.doubts == ()
        assert [link.has_length for link in layout.links] == [False]
    content = b"".join([announcing(NUM_FRAMES + 2, trimmed=False, name=name), *FRAMES[1:]])
    with pytest.raises(ValueError, match=f"{NUM_FRAMES + 2} frames announced, {NUM_FRAMES} there"):
        mpeg_links(content)


def test_the_header_of_an_encoder_that_trims_is_exact():
    assert mpeg_links(b"".join([announcing(NUM_FRAMES, trimmed=True), *FRAMES[1:]])).doubts == ()
    with pytest.raises(ValueError, match=f"{NUM_FRAMES + 1} frames announced, {NUM_FRAMES} there"):
        mpeg_links(b"".join([announcing(NUM_FRAMES + 1, trimmed=True), *FRAMES[1:]]))
    layout = mpeg_links(b"".join([announcing(NUM_FRAMES - 3, trimmed=True), *FRAMES[1:]]))
    assert "3 frames more" in layout.doubts[0]
    assert [link.has_length for link in layout.links] == [True, False]


def test_what_is_no_frame_is_left_out():
    content = b"".join([*FRAMES[1:9], b"no frame" * 1000, *FRAMES[9:]])
    (link,) = mpeg_links(content).links
    _, first, second = link.pieces
    assert content[first.start : first.stop] == b"".join(FRAMES[1:9])
    assert content[second.start : second.stop] == b"".join(FRAMES[9:])
