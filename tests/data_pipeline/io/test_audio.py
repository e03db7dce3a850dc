"""Audio files: exact round trips, rates, and one clear error for each kind of broken file."""

import errno
import os

import numpy as np
import pytest
import soundfile

from data_pipeline.io import audio
from data_pipeline.io.files import check_writable
from tests.full_disk import room_for


def _tone(seconds, rate, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sixteen_bits_survive_unchanged(tmp_path, suffix):
    rng = np.random.default_rng(0)
    pcm = rng.integers(-32768, 32768, 1000).astype(np.int16)
    path = tmp_path / f"noise.{suffix}"
    audio.write_audio(path, pcm.astype(np.float32) / 32768, sample_rate_hz=16000)
    samples, rate = audio.read_audio(path)
    assert rate == 16000
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples[0] * 32768, pcm)
    np.testing.assert_array_equal(audio.read_mono_pcm16(path, 16000), pcm)
    audio.write_audio(path, pcm, sample_rate_hz=16000)
    np.testing.assert_array_equal(audio.read_mono_pcm16(path, 16000), pcm)


def test_write_clips_instead_of_wrapping(tmp_path):
    audio.write_audio(tmp_path / "loud.wav", np.array([2.0, -2.0, 0.0]), sample_rate_hz=8000)
    pcm = audio.read_mono_pcm16(tmp_path / "loud.wav", 8000)
    np.testing.assert_array_equal(pcm, [32767, -32768, 0])


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    with room_for(0), pytest.raises(OSError, match=r"no file can be written here \(File too large"):
        check_writable(tmp_path)
    with pytest.raises(OSError, match=r"no file can be written here .*nowhere"):
        check_writable(tmp_path / "nowhere")


def test_float_files_and_stereo(tmp_path):
    stereo = np.stack([_tone(0.1, 8000), np.zeros(800, np.float32)])
    path = tmp_path / "stereo.wav"
    audio.write_audio(path, stereo, sample_rate_hz=8000, subtype="FLOAT")
    samples, _ = audio.read_audio(path)
    np.testing.assert_array_equal(samples, stereo)
    mono = audio.read_mono_pcm16(path, 8000)
    np.testing.assert_allclose(mono / 32768, stereo.mean(axis=0), atol=1 / 32768)


@pytest.mark.parametrize("shape", [(4410,), (2, 4410), (2, 3, 4410)])
def test_resample_keeps_a_tone(shape):
    tone = np.broadcast_to(_tone(0.1, 44100), shape).copy()
    moved = audio.resample(tone, from_hz=44100, to_hz=16000)
    assert moved.shape == (*shape[:-1], 1600)
    np.testing.assert_allclose(
        moved[..., 200:-200], _tone(0.1, 16000)[200:-200] + 0 * moved[..., 200:-200], atol=2e-3
    )


def test_resample_does_not_alias():
    moved = audio.resample(_tone(1, 44100, hz=8500.0), from_hz=44100, to_hz=16000)
    assert np.sqrt(np.mean(moved[1000:-1000] ** 2)) < 1e-5


def test_resample_of_nothing_and_bad_rates():
    assert audio.resample(np.zeros((2, 0), np.float32), from_hz=44100, to_hz=16000).shape == (
        2,
        0,
    )
    with pytest.raises(ValueError, match="rates must be positive"):
        audio.resample(np.zeros(3, np.float32), from_hz=0, to_hz=16000)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.wav"):
        audio.read_audio(tmp_path / "nothing.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_text_instead_of_audio(tmp_path, suffix):
    path = tmp_path / f"text.{suffix}"
    path.write_text("this is no audio")
    with pytest.raises(ValueError, match=r"text.*cannot be read as audio"):
        audio.read_audio(path)


def test_cut_short_flac(tmp_path):
    path = tmp_path / "cut.flac"
    rng = np.random.default_rng(0)
    audio.write_audio(path, rng.uniform(-0.5, 0.5, 40000), sample_rate_hz=16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cut\.flac"):
        audio.read_audio(path)


def test_damaged_flac(tmp_path):
    path = tmp_path / "damaged.flac"
    rng = np.random.default_rng(0)
    audio.write_audio(path, rng.uniform(-0.5, 0.5, 40000), sample_rate_hz=16000)
    content = bytearray(path.read_bytes())
    content[20000:40000] = bytes(20000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.flac"):
        audio.read_audio(path)


def test_samples_that_are_not_finite(tmp_path):
    bad = np.array([0.0, np.nan], np.float32)
    soundfile.write(tmp_path / "nan.wav", bad, 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"nan\.wav.*not finite"):
        audio.read_audio(tmp_path / "nan.wav")
    with pytest.raises(ValueError, match=r"out\.wav.*not finite"):
        audio.write_audio(tmp_path / "out.wav", bad, sample_rate_hz=8000)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "song.wav"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"song.xyz.*cannot write"):
        audio.write_audio(tmp_path / "song.xyz", np.zeros(3), sample_rate_hz=8000)
    with pytest.raises(ValueError, match=r"shape \[n\] or \[c n\]"):
        audio.write_audio(path, np.zeros((1, 2, 3)), sample_rate_hz=8000)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=r"No space left.*song\.wav"):
        audio.write_audio(path, np.zeros(3), sample_rate_hz=8000)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["song.wav"]


def test_content_is_on_disk_before_the_name(tmp_path, monkeypatch):
    path, calls = tmp_path / "report.json", []
    path.write_text("old")

    def flush(file):
        assert os.fstat(file).st_size == 3
        calls.append(path.read_text())

    monkeypatch.setattr(os, "fsync", flush)
    with audio.whole_file(path) as temporary:
        temporary.write_text("new")
    assert calls == ["old"]
    assert path.read_text() == "new"

    def fails(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with (
        pytest.raises(OSError, match=r"Input/output error.*report\.json"),
        audio.whole_file(path) as temporary,
    ):
        temporary.write_text("newer")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
