"""FLAC headers: the length they announce, against the last frame."""

import pytest

from data_pipeline.io.containers.flac import flac_links
from data_pipeline.io.containers.link import Layout, Link
from tests.data_pipeline.io.broken_audio import encoded, song, with_flac_length

# Rates that stand in the frames in several ways; numbers of one to three bytes.
SONGS = [
    encoded(song(seconds, channels=channels), "FLAC", rate=rate, subtype=subtype)
    for seconds, channels, rate, subtype in [
        (0.05, 1, 44100, "PCM_16"),
        (3.0, 2, 48000, "PCM_24"),
        (20.0, 1, 11111, "PCM_S8"),
        (210.0, 1, 96000, "PCM_S8"),
    ]
]


@pytest.mark.parametrize("content", SONGS)
def test_a_header_that_says_too_little(content):
    length = int.from_bytes(content[21:26], "big") & (2**36 - 1)
    assert flac_links(content) == Layout((Link(),), ())
    assert flac_links(b"ID3\4\0\0\0\0\0\1x" + content) == Layout((Link(),), ())
    layout = flac_links(with_flac_length(content, length - 1))
    assert f"announces {length - 1} samples" in layout.doubts[0]
    (link,) = layout.links
    assert not link.has_length
    assert link.pieces == (with_flac_length(content, 0)[:42], range(42, len(content)))


def test_a_header_that_says_nothing_or_too_much():
    assert "says no length" in flac_links(with_flac_length(SONGS[0], 0)).doubts[0]
    assert flac_links(with_flac_length(SONGS[0], 2**36 - 1)) == Layout((Link(),), ())
    assert flac_links(SONGS[1][:-1]) == Layout((Link(),), ())  # the decoder finds out


def test_streams_one_after_the_other():
    layout = flac_links(SONGS[0] + SONGS[1])
    border = len(SONGS[0])
    assert layout.links == (
        Link((range(border),)),
        Link((range(border, border + len(SONGS[1])),)),
    )
    assert "2 files joined" in layout.doubts[0]
