"""What separating takes: memory that does not grow with the song, and no TensorFlow."""

import subprocess
import sys
import tracemalloc

import numpy as np
import soundfile

from experiments.separate import separate
from tests import ROOT
from tests.experiments.separate.test_separate import HalfAndHalf, song
from tests.tiny_run import prepare_data, tiny_config, write_run


def test_neither_separating_nor_scoring_loads_tensorflow(tmp_path):
    """It takes seconds and half a gigabyte."""
    run = write_run(tmp_path / "run", tiny_config(prepare_data(tmp_path / "data")))
    path = song(tmp_path / "a.wav")
    code = f"""
import sys
from experiments import evaluate, separate
assert separate.main(["--workdir={run}", "--out={tmp_path / "out"}", "{path}"]) == 0
assert evaluate.main(["--workdir={run}", "--split=validation"]) == 0
assert "tensorflow" not in sys.modules
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_memory_does_not_grow_with_the_song(tmp_path):
    """Ten minutes of stereo are 100 MB as floats, once for the song and once for each stem."""
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros((600 * 22050, 2), np.int16), 22050)
    tracemalloc.start()
    separate([path], predictor=HalfAndHalf(), out=tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
