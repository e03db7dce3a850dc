"""Stems in mp3 and ogg: the song's length and place to the sample, its sum only roughly."""

import numpy as np
import pytest
import scipy.signal
import soundfile

from data_pipeline.io.audio import read_audio, write_audio
from experiments.separate import separate
from experiments.songs.options import SongOptions
from tests.experiments.separate.test_separate import NAMES, HalfAndHalf


def music(path, *, seconds=2.003, rate=44100, channels=2):
    """Struck tones over some noise."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    tones = [np.exp(-6 * (time % 0.5)) * np.sin(2 * np.pi * hz * time) for hz in (220, 330)]
    wave = 0.2 * np.stack([tones[k % 2] for k in range(channels)])
    wave += 0.002 * rng.standard_normal(wave.shape)
    write_audio(path, wave.astype(np.float32), sample_rate_hz=rate)
    return path


def decibels(error, of):
    return 10 * np.log10(np.mean(np.square(error)) / np.mean(np.square(of)))


@pytest.mark.parametrize("format", ["mp3", "ogg"])
def test_length_and_place_are_exact_and_the_sum_is_not(tmp_path, capsys, format):
    path = music(tmp_path / "a.wav")
    options = SongOptions(format=format, other=True, minus=("drums",), page=False)
    (folder,) = separate([path], predictor=HalfAndHalf(), out=tmp_path, options=options)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{format}: ") and "no longer sum exactly" in line
    assert ("1105 samples" in line) == (format == "mp3")
    waveform = read_audio(path)[0].astype(np.float64)
    stems = {name: read_audio(folder / f"{name}.{format}")[0] for name in (*NAMES, "other")}
    for name in NAMES:
        assert stems[name].shape == waveform.shape
        expected = 0.5 * waveform
        match = scipy.signal.correlate(stems[name][0], expected[0], method="fft")
        assert np.argmax(match) == waveform.shape[1] - 1  # no lag
        assert decibels(stems[name] - expected, expected) < -20
    error = decibels(sum(stems.values()) - waveform, waveform)
    assert -90 < error < -20
    assert read_audio(folder / f"minus_drums.{format}")[0].shape == waveform.shape


def test_what_an_mp3_says_of_its_delay(tmp_path):
    """The bytes of LAME's header: what encoder and decoder add at the start, and the rest."""
    path = music(tmp_path / "a.wav", seconds=1.0)
    options = SongOptions(format="mp3", page=False)
    (folder,) = separate([path], predictor=HalfAndHalf(), out=tmp_path, options=options)
    data = (folder / "piano.mp3").read_bytes()
    place = data.index(b"LAME") + 21
    delay = (data[place] << 4) | (data[place + 1] >> 4)
    padding = ((data[place + 1] & 15) << 8) | data[place + 2]
    assert delay + 529 == 1105
    assert (delay + 44100 + padding) % 1152 == 0


def test_long_blocks_of_many_channels_and_what_is_beyond_full_scale(tmp_path, capsys):
    class Loud(HalfAndHalf):
        share = 20.0

    path = music(tmp_path / "a.wav", channels=6, seconds=6)
    options = SongOptions(format="ogg", page=False)
    (folder,) = separate([path], predictor=Loud(), out=tmp_path, options=options)
    assert "--format=wav keeps them" in capsys.readouterr().out
    stem, waveform = read_audio(folder / "piano.ogg")[0], read_audio(path)[0]
    assert stem.shape == waveform.shape
    expected = np.clip(20 * waveform, -1, 1)
    assert decibels(stem - expected, expected) < -15
    assert soundfile.info(folder / "piano.ogg").subtype == "VORBIS"


@pytest.mark.parametrize(
    ("song", "message"),
    [({"rate": 96000}, "2 channels at 96000 Hz"), ({"channels": 3}, "3 channels at 44100 Hz")],
)
def test_what_an_mp3_cannot_hold(tmp_path, capsys, song, message):
    path = music(tmp_path / "a.wav", seconds=0.5, **song)
    options = SongOptions(format="mp3", page=False)
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=tmp_path / "out", options=options)
    error = capsys.readouterr().err
    assert f"mp3 MPEG_LAYER_III cannot hold {message}" in error and "try another --format" in error
    assert "object at" not in error
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bit_depth_of_a_lossy_file():
    with pytest.raises(ValueError, match="subtype: ogg files have no bit depth, got PCM_24"):
        SongOptions(format="ogg", subtype="PCM_24")
