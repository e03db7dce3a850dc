"""Scanning by name: what is refused, and the classes that are asked for."""

import pytest

from data_pipeline.corpora.scan import scan_corpus
from tests.tiny_slakh import make_tree


def test_what_is_unknown(tmp_path):
    with pytest.raises(ValueError, match=r"--corpus=jazz: unknown; expected one of .*musdb18"):
        scan_corpus("jazz", tmp_path, options={})
    with pytest.raises(ValueError, match=r"maps has no option --splits \(it has --maps_sections"):
        scan_corpus("maps", tmp_path, options={"splits": "orig"})
    for instruments in (("piano", "flute"), ()):
        with pytest.raises(ValueError, match=r"--instruments=.*: expected some of piano, guitar"):
            scan_corpus("slakh2100", tmp_path, options={}, instruments=instruments)


def test_stems_of_other_classes_lose_theirs(tmp_path):
    make_tree(tmp_path, {"train": 1}, stems=("piano", "organ", "bass"), seconds=0.2)

    def classes(**kwargs):
        (track,) = scan_corpus("slakh2100", tmp_path, options={}, **kwargs)
        return [stem.instrument for stem in track.stems]

    assert classes() == ["piano", "organ", "bass"]
    assert classes(instruments=("bass", "piano")) == ["piano", "", "bass"]
