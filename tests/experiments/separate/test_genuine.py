"""Genuine recordings through the real command: stems and what is left of them are the song."""

import numpy as np
import pytest
import soundfile
import soxr

from cerberus_jax.inference import WINDOW_SECONDS
from data_pipeline.io.audio import read_audio
from experiments.separate import main
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(root))


def _slakh_sum(samples, folder):
    stems = sorted((samples / "slakh2100/omitted/Track00049/stems").glob("*.flac"))
    sound = sum(soundfile.read(stem, dtype="int32")[0] for stem in stems)
    assert np.abs(sound / 2**16).max() < 2**15
    soundfile.write(folder / "slakh.wav", (sound // 2**16).astype(np.int16), 16000)
    return folder / "slakh.wav"


def _recording(samples):
    (path,) = (samples / "guitarset").rglob("*_mic.flac")
    return read_audio(path)


def _longer_than_a_window(samples, folder):
    sound, rate = _recording(samples)
    assert 3 * sound.shape[1] > WINDOW_SECONDS * rate
    soundfile.write(folder / "thrice.flac", np.tile(sound[0], 3), rate, subtype="PCM_16")
    return folder / "thrice.flac"


def _mp3(samples, folder):
    sound, rate = _recording(samples)
    stereo = np.stack([sound[0], 0.5 * sound[0, ::-1]], axis=1)
    soundfile.write(folder / "song.mp3", stereo, rate, format="MP3")
    return folder / "song.mp3"


def _high_rate(samples, folder):
    sound, rate = _recording(samples)
    sound = soxr.resample(sound[0], rate, 96000)
    stereo = np.stack([sound, -0.5 * sound], axis=1)
    soundfile.write(folder / "song.flac", stereo, 96000, subtype="PCM_16")
    return folder / "song.flac"


@pytest.mark.parametrize("make", [_slakh_sum, _longer_than_a_window, _mp3, _high_rate])
def test_stems_and_other_are_the_song(run, samples, tmp_path, make):
    path = make(samples, tmp_path)
    out = tmp_path / "out"
    assert main([f"--workdir={run}", f"--out={out}", "--other", "--no-page", str(path)]) == 0
    folder = out / path.stem
    song, rate = read_audio(path)
    parts = [read_audio(folder / f"{name}.wav") for name in (*INSTRUMENTS, "other")]
    assert {found for _, found in parts} == {rate}
    assert {sound.shape for sound, _ in parts} == {song.shape}
    total = sum(sound.astype(np.float64) for sound, _ in parts)
    np.testing.assert_allclose(total, song, atol=1.01 / 32768)
    assert np.abs(parts[0][0]).max() > 0.001
