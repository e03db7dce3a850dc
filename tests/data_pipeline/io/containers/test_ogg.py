"""Ogg pages: streams one after the other, beside each other, and what follows the last."""

import struct

import pytest

from data_pipeline.io.containers.link import Layout, Link
from data_pipeline.io.containers.ogg import ogg_links
from tests.data_pipeline.io.broken_audio import encoded, song

SONG = encoded(song(2.0), "OGG")


def page(flags: int, serial: int, number: int) -> bytes:
    return b"OggS\0" + struct.pack("<BqIIIB", flags, 0, serial, number, 0, 1) + b"\1x"


def test_one_stream_as_it_stands():
    assert ogg_links(SONG) == Layout((Link(),), ())
    assert ogg_links(SONG + b"TAG" + bytes(125)) == Layout((Link(),), ())


def test_a_stream_beside_the_sound_counts_for_nothing():
    """Programs put a skeleton before the sound, whose last page comes early or never."""
    at = SONG.index(b"OggS", 4)
    beside = SONG[:at] + page(2, 7, 0) + page(0, 7, 5) + SONG[at:]
    assert ogg_links(beside) == Layout((Link(),), ())


def test_streams_one_after_the_other():
    layout = ogg_links(SONG + SONG)
    assert layout.links == (
        Link((range(len(SONG)),)),
        Link((range(len(SONG), 2 * len(SONG)),)),
    )
    assert "2 files joined" in layout.doubts[0]


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ([page(2, 1, 0), page(0, 1, 1)], "ends the stream expected, 2 pages found"),
        ([page(2, 1, 0), page(4, 1, 2)], "page 1 expected, page 2 found"),
        ([page(2, 1, 0), page(4, 1, 1)[:-1]], "the last page has 29 bytes, 28 there"),
    ],
)
def test_damage(pages, message):
    with pytest.raises(ValueError, match=message):
        ogg_links(b"".join(pages))
