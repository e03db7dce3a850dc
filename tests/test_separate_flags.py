"""What is asked of `separate` on the command line, and how it is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cerberus_jax.inference import Predictor
from data_pipeline.audio_io import read_audio, write_audio
from experiments.separate import main
from tests.test_separate import names_in, song
from tests.tiny_run import prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(root))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--format=mp3", "format: one of wav, flac expected"),
        ("--subtype=PCM_8", "subtype: wav files can be"),
        ("--bpm=fast", "bpm: a number expected, got 'fast'"),
        ("--level=loud", "level: one of window, song expected, got 'loud'"),
        ("--bpm=0", "bpm: must lie in 4..1000"),
        ("--only=kazoo", "only: kazoo asked for; the network knows piano, drums"),
        ("--minus=kazoo", "minus: kazoo asked for"),
    ],
)
def test_wishes_that_cannot_be_met(run, tmp_path, capsys, flag, message):
    path = song(tmp_path / "a.wav")
    out = tmp_path / "out"
    assert main([f"--workdir={run}", f"--out={out}", flag, str(path)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_flags_may_have_hyphens(run, tmp_path):
    path = song(tmp_path / "a-b.wav")
    flags = ["--no-highs", "--no-page", "--exact", "--other"]
    assert main([f"--workdir={run}", f"--out={tmp_path / 'out-put'}", *flags, str(path)]) == 0
    folder = tmp_path / "out-put" / "a-b"
    assert "other.wav" in names_in(folder) and "page" not in names_in(folder)
    other, _ = read_audio(folder / "other.wav")
    assert np.abs(other).mean() > 0.05  # the highs


def test_the_level_of_the_song_or_of_the_window(run, tmp_path):
    """A quiet window before a loud one: by the song's level the network hears it as quiet."""
    rng = np.random.default_rng(0)
    waveform = 0.01 * rng.uniform(-1, 1, 24 * 16000).astype(np.float32)
    waveform[22 * 16000 :] *= 60
    path = tmp_path / "a.wav"
    write_audio(path, waveform, sample_rate_hz=16000)
    waveform, _ = read_audio(path)
    stems = {}
    for level in ("window", "song"):
        out = tmp_path / level
        flags = [f"--out={out}", f"--level={level}", "--subtype=FLOAT", "--no-page"]
        assert main([f"--workdir={run}", *flags, str(path)]) == 0
        stems[level] = read_audio(out / "a" / "piano.wav")[0]
        predicted = Predictor.load(run, level=level).predict(waveform, 16000).sources[0]
        np.testing.assert_allclose(stems[level], predicted, atol=1e-6)
    assert np.abs(stems["song"] - stems["window"])[:, : 16 * 16000].max() > 1e-5


def test_neither_separating_nor_scoring_loads_tensorflow(run, tmp_path):
    """It takes seconds and half a gigabyte."""
    path = song(tmp_path / "a.wav")
    code = f"""
import sys
from experiments import evaluate, separate
assert separate.main(["--workdir={run}", "--out={tmp_path / "out"}", "{path}"]) == 0
assert evaluate.main(["--workdir={run}", "--split=validation"]) == 0
assert "tensorflow" not in sys.modules
"""
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
