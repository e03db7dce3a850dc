"""How large samples may be: floats that were not scaled are read, and nothing beyond them."""

import numpy as np
import pytest
import soundfile

from data_pipeline.io.audio import read_audio
from data_pipeline.io.audio_decoding import MAX_AMPLITUDE
from data_pipeline.io.audio_stream import read_blocks


def _written(path, value):
    samples = np.zeros(4000)
    samples[3000] = value
    soundfile.write(path, samples, 8000, subtype="DOUBLE")
    return path


@pytest.mark.parametrize("value", [MAX_AMPLITUDE, -MAX_AMPLITUDE])
def test_the_largest_samples_are_read(tmp_path, value):
    samples, _ = read_audio(_written(tmp_path / "a.wav", value))
    assert samples[0, 3000] == value


@pytest.mark.parametrize("value", [2 * MAX_AMPLITUDE, -2 * MAX_AMPLITUDE])
def test_larger_samples_are_refused_by_both_readers(tmp_path, value):
    path = _written(tmp_path / "a.wav", value)
    message = r"a\.wav: samples of at most 4e\+09 expected \(1 is full scale\), got 9e\+09"
    for read in (read_audio, lambda path: list(read_blocks(path, block_seconds=0.1))):
        with pytest.raises(ValueError, match=message):
            read(path)
