"""Of which of its files a stem is read."""

import numpy as np
import pytest
import soundfile

from data_pipeline.corpora.track import Stem
from data_pipeline.prepared.stem_sound import sound_of

TONE = 0.5 * np.sin(np.arange(1600) / 5)


def _stem(tmp_path, first, second):
    soundfile.write(tmp_path / "S00.wav", first, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "S00.flac", second, 16000)
    path, other = tmp_path / "S00.wav", tmp_path / "S00.flac"
    return Stem("S00", "piano", 0, False, path, None, other_audio=(other,))


def test_its_own_file_where_that_sounds(tmp_path):
    sound = sound_of(_stem(tmp_path, 2 * TONE, TONE), 16000)
    np.testing.assert_allclose(sound.samples, 2 * TONE, atol=1e-6)
    assert sound.path.name == "S00.wav" and not sound.doubts


def test_another_where_that_is_silent_or_cannot_be_read(tmp_path):
    stem = _stem(tmp_path, 0 * TONE, TONE)
    sound = sound_of(stem, 16000)
    np.testing.assert_allclose(sound.samples, TONE, atol=1e-4)
    assert sound.path.name == "S00.flac" and "S00.wav is silent" in sound.doubts[-1]
    stem.audio_path.write_bytes(b"no audio")
    assert "S00.wav cannot be read" in sound_of(stem, 16000).doubts[-1]


def test_silence_where_all_are_silent_and_an_error_where_none_can_be_read(tmp_path):
    stem = _stem(tmp_path, 0 * TONE, 0 * TONE)
    assert not sound_of(stem, 16000).samples.any()
    for path in (stem.audio_path, *stem.other_audio):
        path.write_bytes(b"no audio")
    with pytest.raises(ValueError, match=r"S00\.wav"):
        sound_of(stem, 16000)
