"""Blocks in, blocks out: whole files, exact levels, clear refusals."""

import errno
import os
import signal

import numpy as np
import pytest
import soundfile

from data_pipeline.io import audio_stream
from data_pipeline.io.audio import read_audio, write_audio
from data_pipeline.io.audio_stream import (
    SCALES,
    AudioWriter,
    audio_info,
    check_format,
    quantise,
    read_blocks,
)

SONG = 0.9 * np.random.default_rng(0).uniform(-1, 1, (2, 30000)).astype(np.float32)


def write(path, song=SONG, *, subtype="PCM_16", cuts=(7, 9000), rate=44100):
    options = {"sample_rate_hz": rate, "num_channels": len(song), "subtype": subtype}
    with AudioWriter(path, **options) as writer:
        for block in np.split(song, cuts, axis=1):
            writer.write(quantise(block, subtype))
    return writer


@pytest.mark.parametrize(
    ("form", "subtype"), [("mp3", None), ("ogg", "VORBIS"), ("ogg", "OPUS"), ("flac", None)]
)
def test_blocks_of_compressed_files_are_the_file(tmp_path, form, subtype):
    """A decoder that is moved between blocks would start anew: a click at every border."""
    path = tmp_path / f"a.{form}"
    hertz = np.cumsum(np.linspace(100, 5000, 3 * 48000)) / 48000
    sweep = 0.5 * np.sin(2 * np.pi * hertz)
    soundfile.write(path, np.stack([sweep, 0.3 * sweep], 1), 48000, subtype=subtype)
    blocks = list(read_blocks(path, block_seconds=0.37))
    assert len(blocks) == 9
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), read_audio(path)[0])


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "FLOAT"),
        ("a.flac", "PCM_16"),
        ("a.flac", "PCM_24"),
    ],
)
def test_what_is_written_is_read(tmp_path, name, subtype):
    write(tmp_path / name, subtype=subtype)
    assert soundfile.info(tmp_path / name).subtype == subtype
    info = audio_info(tmp_path / name)
    assert (info.sample_rate_hz, info.num_channels, info.num_samples) == (44100, 2, 30000)
    again = np.concatenate(list(read_blocks(tmp_path / name, block_seconds=0.1)), axis=1)
    scale = SCALES[subtype]
    levels = quantise(SONG, subtype)
    np.testing.assert_array_equal(again, (levels / scale if scale else levels).astype(np.float32))
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_wav_beyond_full_scale_goes_on_in_floats(tmp_path, subtype):
    song = SONG.copy()
    song[:, 20000] = (1.7, -2.5)
    write(tmp_path / "a.wav", song, subtype=subtype)
    assert soundfile.info(tmp_path / "a.wav").subtype == "FLOAT"
    found, _ = read_audio(tmp_path / "a.wav")
    expected = (quantise(song, subtype) / SCALES[subtype]).astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_flac_beyond_full_scale_is_clipped_and_counted(tmp_path):
    song = SONG.copy()
    song[:, 20000] = (1.7, -2.5)
    assert write(tmp_path / "a.flac", song).num_clipped == 2
    found, _ = read_audio(tmp_path / "a.flac")
    np.testing.assert_array_equal(found[:, 20000], (32767 / 32768, -1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_full_disk_is_an_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        write(path, np.tile(SONG, 10))
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))


def test_songs_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such audio file"):
        audio_info(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("this is text")
    (tmp_path / "nothing.wav").touch()
    for name in ("text.wav", "nothing.wav"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as audio"):
            audio_info(tmp_path / name)
    write_audio(tmp_path / "empty.wav", np.zeros(0, np.float32), sample_rate_hz=16000)
    with pytest.raises(ValueError, match=r"empty.wav: holds no samples"):
        audio_info(tmp_path / "empty.wav")
    song = SONG.copy()
    song[0, 29000] = np.nan
    soundfile.write(tmp_path / "nan.wav", song.T, 44100, subtype="FLOAT")
    with pytest.raises(ValueError, match="not finite"):
        list(read_blocks(tmp_path / "nan.wav", block_seconds=0.1))
    write(tmp_path / "whole.flac")
    data = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut.flac: (damaged|cannot)"):
        list(read_blocks(tmp_path / "cut.flac"))


def test_formats_that_do_not_exist(tmp_path):
    check_format("wav", "FLOAT")
    with pytest.raises(ValueError, match="one of wav, flac, mp3, ogg expected, got 'aac'"):
        check_format("aac", "PCM_16")
    with pytest.raises(ValueError, match="mp3 files can be MPEG_LAYER_III, got 'PCM_16'"):
        check_format("mp3", "PCM_16")
    with pytest.raises(ValueError, match="subtype: flac files can be PCM_16, PCM_24, got 'FLOAT'"):
        check_format("flac", "FLOAT")
    with pytest.raises(ValueError, match="cannot hold 9 channels"):
        AudioWriter(tmp_path / "a.flac", sample_rate_hz=44100, num_channels=9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_inside_libsndfile_is_not_lost(tmp_path, monkeypatch, number):
    """What a callback raises is printed and forgotten; the interrupt has to come after it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    write = audio_stream._CheckedFile.write

    def interrupted(self, data):
        signal.raise_signal(number)
        return write(self, data)

    samples = np.arange(-500, 500)[None]
    try:
        with AudioWriter(tmp_path / "a.wav", sample_rate_hz=8000, num_channels=1) as writer:
            monkeypatch.setattr(audio_stream._CheckedFile, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                writer.write(samples)
            monkeypatch.undo()
            writer.write(samples)
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    found, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(found, np.tile(samples[0], 2))
