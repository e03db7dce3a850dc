"""Which files are audio, and which of several of one name is taken."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_pipeline.io.audio_files import (
    AUDIO_SUFFIXES,
    OTHER_AUDIO_SUFFIXES,
    best_first,
    can_be_opened,
    is_audio_name,
    is_other_audio_name,
    named_files,
)


def test_names():
    assert all(is_audio_name(Path(f"a{suffix.upper()}")) for suffix in AUDIO_SUFFIXES)
    assert all(is_other_audio_name(Path(f"a{suffix}")) for suffix in OTHER_AUDIO_SUFFIXES)
    assert not set(AUDIO_SUFFIXES) & set(OTHER_AUDIO_SUFFIXES)
    assert not is_audio_name(Path("wav")) and not is_other_audio_name(Path("cover.jpg"))


@pytest.mark.parametrize("format", ["WAV", "FLAC", "VOC", "W64", "OGG"])
def test_what_can_be_opened_is_told_by_content(tmp_path, format):
    soundfile.write(tmp_path / "a.dat", np.zeros(1000), 16000, format=format)
    assert can_be_opened(tmp_path / "a.dat")
    (tmp_path / "b.dat").write_bytes(b"no audio at all")
    assert not can_be_opened(tmp_path / "b.dat")
    assert not can_be_opened(tmp_path / "nothing.dat")


def test_lossless_kinds_come_first(tmp_path):
    for suffix in (".mp3", ".wav", ".flac", ".txt"):
        (tmp_path / f"a{suffix}").write_bytes(b"")
    names = [path.name for path in named_files(tmp_path, "a")]
    assert names == ["a.flac", "a.wav", "a.mp3"]
    assert [path.name for path in best_first(named_files(tmp_path, "a")[::-1])] == names
