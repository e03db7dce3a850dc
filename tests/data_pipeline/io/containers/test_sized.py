"""Containers with sizes: what is a stream, what is damage, what is a file without sound."""

import mmap
import os
import struct

import pytest

from data_pipeline.io.containers.link import Layout, Link
from data_pipeline.io.containers.sized import sized_links
from tests.data_pipeline.io.broken_audio import encoded, song, streamed_wav, wav

WAV = encoded(song(0.1), "WAV")
SOUND_BYTES = 4410 * 4
SOUND_START = len(WAV) - SOUND_BYTES


def test_a_whole_file_is_one_stream_as_it_stands():
    assert sized_links(WAV) == Layout((Link(),), ())
    assert sized_links(b"this is no audio") is None
    assert sized_links(b"RIFF\0\0\0\0WAVE") is None


def test_no_sound_is_no_stream_of_unknown_length():
    """A size of zero is true where only chunks follow."""
    notes = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert sized_links(wav(b"", channels=1, rate=44100) + notes) == Layout((Link(),), ())
    (link,) = sized_links(streamed_wav(WAV, 0, 0)).links
    header, sound = link.pieces
    assert struct.unpack("<I", header[-4:])[0] == len(sound) == SOUND_BYTES


@pytest.mark.parametrize("size", [2**32 - 1, 2**31 - 1, 2**31, 0x7FFFF000])
def test_sizes_that_stand_for_an_unknown_one(size):
    (doubt,) = sized_links(streamed_wav(WAV, size, size)).doubts
    assert "no length" in doubt


@pytest.mark.parametrize("more", [10**6, 0])
def test_a_stream_longer_than_what_stands_for_its_length_is_read_to_its_end(tmp_path, more):
    """Half of the limit stands for an unknown size too; a file that ends there has that size."""
    size, header = 0x7FFFF000, streamed_wav(WAV, 0x7FFFF000, 0x7FFFF000)[:SOUND_START]
    path = tmp_path / "long.wav"
    path.write_bytes(header)
    os.truncate(path, SOUND_START + size + more)
    with path.open() as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        layout = sized_links(data)
    if more:
        assert "no length" in layout.doubts[0]
        assert len(layout.links[0].pieces[1]) == size + more
    else:
        assert layout == Layout((Link(),), ())


@pytest.mark.parametrize("size", [SOUND_BYTES + 1, SOUND_BYTES + 44, 2**30, 3 * 2**30])
def test_sizes_beyond_the_end(size):
    with pytest.raises(ValueError, match=f"{size} bytes of sound announced, {SOUND_BYTES} there"):
        sized_links(streamed_wav(WAV, len(WAV) - 8, size))


def test_sound_after_the_announced_end_is_said():
    assert sized_links(WAV + bytes(4096)).doubts == ()
    (doubt,) = sized_links(streamed_wav(WAV, 1036, 1000)).doubts
    assert f"{SOUND_BYTES - 1000} bytes" in doubt


def test_chunks_of_odd_size_and_the_other_byte_order():
    odd = WAV[:12] + b"note" + struct.pack("<I", 3) + b"abc\0" + WAV[12:]
    assert sized_links(odd) == Layout((Link(),), ())
    with pytest.raises(ValueError, match="bytes of sound announced"):
        sized_links(odd[:-2])
    facts = struct.pack(">HHIIHH", 1, 1, 8000, 16000, 2, 16)
    big_endian = b"RIFX" + struct.pack(">I", 40) + b"WAVEfmt " + struct.pack(">I", 16) + facts
    big_endian += b"data" + struct.pack(">I", 4) + bytes(4)
    assert sized_links(big_endian) == Layout((Link(),), ())
    with pytest.raises(ValueError, match="4 bytes of sound announced, 2 there"):
        sized_links(big_endian[:-2])


class Long(bytes):
    """The first bytes of a file whose sound is so long, for what reads its header alone."""

    sound_bytes = 2**32 - 1

    def __len__(self):
        return SOUND_START + self.sound_bytes


class Longer(Long):
    sound_bytes = 2**32


def test_more_sound_than_a_header_without_length_could_say():
    (link,) = sized_links(Long(streamed_wav(WAV, 0, 0))).links
    header, sound = link.pieces
    assert struct.unpack("<I", header[-4:])[0] == len(sound) == 2**32 - 1
    message = f"says no length, and {2**32} bytes of sound are more than it could say; convert it"
    with pytest.raises(ValueError, match=message):
        sized_links(Longer(streamed_wav(WAV, 0, 0)))
