"""The length in a header is not the truth: every file is read to its end, or refused by name.

What is read as a whole and what is read in blocks is the same for each of these files: the samples,
the length that is said before, or the error.
"""

import tracemalloc

import numpy as np
import pytest

from data_pipeline.io.audio import read_audio
from data_pipeline.io.audio_decoding import estimated_length
from data_pipeline.io.audio_stream import audio_info, read_blocks
from tests.data_pipeline.io.broken_audio import (
    cut,
    decoded,
    encoded,
    mp3_frames,
    song,
    streamed_wav,
    wav,
    with_flac_length,
    with_number,
    without_header,
)
from tests.full_disk import room_for

SONG, SECOND = song(4.0), song(1.5, seed=1)
FIRST = {
    name: encoded(SONG, name, **options)
    for name, options in {
        **{name: {"subtype": "PCM_16"} for name in ("WAV", "AIFF", "W64", "RF64", "CAF", "AU")},
        "FLAC": {},
        "OGG": {},
    }.items()
}
THEN = {name: encoded(SECOND, name) for name in ("WAV", "AIFF", "W64", "FLAC", "OGG")}
VARIABLE = encoded(SONG, "MP3", bitrate_mode="VARIABLE")
CONSTANT = encoded(SONG, "MP3", bitrate_mode="CONSTANT")
NO_END = FIRST["OGG"][: FIRST["OGG"].rindex(b"OggS")]
HOLE = FIRST["OGG"].split(b"OggS")
TAG = b"ID3\4\0\0\0\0\2\0" + bytes(256)
BARE_SAMPLES = len(mp3_frames(VARIABLE)[1:]) * 1152 - 529  # a decoder is 529 samples late

READ = {  # name: file, samples
    "joined.wav": (FIRST["WAV"] + THEN["WAV"], 242550),
    "joined.aiff": (FIRST["AIFF"] + THEN["AIFF"], 242550),
    "joined.w64": (FIRST["W64"] + THEN["W64"], 242550),
    "joined.flac": (FIRST["FLAC"] + THEN["FLAC"], 242550),
    "joined.ogg": (FIRST["OGG"] + THEN["OGG"], 242550),
    "joined three times.ogg": (FIRST["OGG"] * 3, 529200),
    "joined.mp3": (VARIABLE + CONSTANT, 352800),
    "joined with tags.mp3": (TAG + VARIABLE + b"TAG" + bytes(125) + TAG + CONSTANT, 352800),
    "joined to one without header.mp3": (
        CONSTANT + without_header(VARIABLE),
        176400 + BARE_SAMPLES,
    ),
    "variable without header.mp3": (without_header(VARIABLE), BARE_SAMPLES),
    "constant without header.mp3": (without_header(CONSTANT), BARE_SAMPLES),
    "tagged without header.mp3": (TAG + without_header(VARIABLE), BARE_SAMPLES),
    "no length.flac": (with_flac_length(FIRST["FLAC"], 0), 176400),
    "longer than it says.flac": (with_flac_length(FIRST["FLAC"], 1000), 176400),
    "no length, a tag behind.flac": (
        with_flac_length(FIRST["FLAC"], 0) + b"TAG" + bytes(125),
        176400,
    ),
    "zero sizes.wav": (streamed_wav(FIRST["WAV"], 0, 0), 176400),
    "sizes of ffmpeg.wav": (streamed_wav(FIRST["WAV"], 2**32 - 1, 2**32 - 1), 176400),
    "sizes of sox.wav": (streamed_wav(FIRST["WAV"], 0x7FFFF024, 0x7FFFF000), 176400),
    "half sizes.wav": (streamed_wav(FIRST["WAV"], 2**31 - 1, 2**31 - 1 - 36), 176400),
    "zero size.aiff": (with_number(FIRST["AIFF"], b"SSND", 0, ">I"), 176400),
    "no size.au": (with_number(FIRST["AU"], b".snd", 2**32 - 1, ">I", offset=8), 176400),
    "zero size.au": (with_number(FIRST["AU"], b".snd", 0, ">I", offset=8), 176400),
    "no size.caf": (with_number(FIRST["CAF"], b"data", 2**64 - 1, ">Q"), 176400),
    "zero size.w64": (with_number(FIRST["W64"], b"data", 0, "<Q", offset=16), 176400),
    "zero size.rf64": (with_number(FIRST["RF64"], b"ds64", 0, "<Q", offset=16), 176400),
}

REFUSED = {  # name: file, what its message says
    **{
        f"cut.{name.lower()}": (cut(FIRST[name]), "705600 bytes of sound announced, 4[12]")
        for name in ("WAV", "AIFF", "W64", "RF64", "CAF", "AU")
    },
    "cut.svx": (cut(encoded(SONG[:, 0], "SVX")), "352800 bytes of sound announced, 211"),
    "cut.voc": (cut(encoded(SONG, "VOC")), r"cut short: \d+ samples are there"),
    "cut.mp3": (cut(VARIABLE), r"155 frames announced, \d+ there"),
    "cut constant.mp3": (cut(CONSTANT), r"155 frames announced, \d+ there"),
    "second cut.mp3": (VARIABLE + cut(CONSTANT), r"155 frames announced, \d+ there"),
    "cut.flac": (cut(FIRST["FLAC"]), "176400 samples announced, the decoder stopped after"),
    "cut.ogg": (cut(FIRST["OGG"]), r"the last page has \d+ bytes, \d+ there"),
    "without its last page.ogg": (NO_END, "a page that ends the stream expected"),
    "second cut.ogg": (FIRST["OGG"] + NO_END, "a page that ends the stream expected"),
    "without a page.ogg": (b"OggS".join(HOLE[:5] + HOLE[6:]), "page 4 expected, page 5 found"),
    "shorter than it says.flac": (
        with_flac_length(FIRST["FLAC"], 200000),
        "200000 samples announced, 176400 read",
    ),
    "hours of nothing.flac": (
        with_flac_length(FIRST["FLAC"], 2**36 - 1),
        "68719476735 samples announced, 176400 read",
    ),
    "joined rates.ogg": (
        FIRST["OGG"] + encoded(SECOND, "OGG", rate=48000),
        "44100 Hz and 2 channels expected, file 2 has 48000 Hz and 2",
    ),
    "joined channels.flac": (
        FIRST["FLAC"] + encoded(SECOND[:, 0], "FLAC"),
        "44100 Hz and 2 channels expected, file 2 has 44100 Hz and 1",
    ),
    "many channels.wav": (wav(bytes(8000), channels=1000, rate=44100), "1 to 64 channels.*1000"),
    "1 Hz.wav": (wav(bytes(8000), channels=1, rate=1), "1000 to 768000 Hz expected, got 1$"),
    "16.8 MHz.wav": (wav(bytes(8000), channels=2, rate=2**24), "768000 Hz expected, got 16777216"),
}


@pytest.fixture
def file(request, tmp_path):
    """(path, what is expected) of one of the files above."""
    content, expected = {**READ, **REFUSED}[request.param]
    path = tmp_path / request.param
    path.write_bytes(content)
    return path, expected


@pytest.mark.parametrize("file", READ, indirect=True)
def test_what_is_there_is_read_by_both_readers_and_said(file, caplog):
    path, num_samples = file
    samples, rate = read_audio(path)
    assert (rate, samples.shape) == (44100, (2, num_samples))
    assert path.name in caplog.text
    assert f"({num_samples} samples" in caplog.text
    caplog.clear()
    info = audio_info(path)
    assert (info.sample_rate_hz, info.num_channels, info.num_samples) == (44100, 2, num_samples)
    assert f"({num_samples} samples" in caplog.text
    blocks = np.concatenate(list(read_blocks(path, block_seconds=0.3)), axis=1)
    np.testing.assert_array_equal(blocks, samples)


@pytest.mark.parametrize("file", REFUSED, indirect=True)
def test_what_is_damaged_is_refused_by_both_readers(file):
    path, message = file
    messages = []
    for read in (read_audio, lambda path: [audio_info(path), *read_blocks(path)]):
        with pytest.raises(ValueError, match=message) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ")
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert len(messages[0]) < len(str(path)) + 160


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "RF64", "CAF", "AU", "FLAC", "OGG"])
def test_a_whole_file_is_as_libsndfile_reads_it_without_a_word(tmp_path, container, caplog):
    path = tmp_path / "whole"
    path.write_bytes(FIRST[container])
    np.testing.assert_array_equal(read_audio(path)[0], decoded(FIRST[container]))
    assert audio_info(path).num_samples == 176400
    assert not caplog.text


def test_a_tag_behind_the_sound_is_no_damage(tmp_path, caplog):
    path = tmp_path / "tagged.flac"
    path.write_bytes(TAG + FIRST["FLAC"] + b"TAG" + bytes(125))
    np.testing.assert_array_equal(read_audio(path)[0], decoded(FIRST["FLAC"]))
    assert sum(block.shape[1] for block in read_blocks(path)) == 176400
    assert not caplog.text


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
def test_joined_files_sound_one_after_the_other(tmp_path, container):
    (tmp_path / "joined").write_bytes(FIRST[container] + THEN[container])
    expected = np.concatenate([decoded(FIRST[container]), decoded(THEN[container])], axis=1)
    np.testing.assert_array_equal(read_audio(tmp_path / "joined")[0], expected)


@pytest.mark.parametrize("content", [VARIABLE, CONSTANT])
def test_an_mp3_without_header_sounds_as_with_it(tmp_path, content):
    (tmp_path / "bare.mp3").write_bytes(without_header(content))
    samples, _ = read_audio(tmp_path / "bare.mp3")
    with_header = decoded(content)
    assert with_header.shape[1] == len(SONG)
    # Without the header nothing says that the encoder was 576 samples late.
    late = samples[:, 576 : 576 + len(SONG)]
    np.testing.assert_allclose(late[:, 2304:], with_header[:, 2304:], atol=1e-5)


def test_a_stream_in_a_wav_is_the_song(tmp_path):
    (tmp_path / "a.wav").write_bytes(streamed_wav(FIRST["WAV"], 0, 0))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], decoded(FIRST["WAV"]))


@pytest.mark.parametrize("name", ["hours of nothing.flac", "many channels.wav", "16.8 MHz.wav"])
def test_a_header_costs_no_memory(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(REFUSED[name][0])
    tracemalloc.start()
    try:
        for read in (read_audio, audio_info, lambda path: [*read_blocks(path)]):
            with pytest.raises(ValueError, match=r"announced|expected"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 32e6
    finally:
        tracemalloc.stop()


def test_a_length_is_estimated_from_the_bytes(tmp_path):
    path = tmp_path / "a"
    for content in (FIRST["FLAC"], FIRST["WAV"], with_flac_length(FIRST["FLAC"], 0)):
        path.write_bytes(content)
        assert estimated_length(path) == (176400, 44100)
    path.write_bytes(REFUSED["hours of nothing.flac"][0])
    with pytest.raises(ValueError, match="68719476735 samples announced, 176400 read"):
        estimated_length(path)
    with pytest.raises(FileNotFoundError, match="no such audio file"):
        estimated_length(tmp_path / "none")


def test_no_room_for_a_copy_is_an_error_with_the_name_of_the_song(tmp_path):
    (tmp_path / "a.flac").write_bytes(READ["joined.flac"][0])
    with room_for(1000), pytest.raises(OSError, match=r"cannot be copied to .*a\.flac"):
        audio_info(tmp_path / "a.flac")
