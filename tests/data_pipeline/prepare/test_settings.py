"""Settings of preparing: the rate, the classes that are kept, and what does not go together."""

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.prepared.catalogue import Catalogue
from tests.data_pipeline.prepare.test_prepare import prepare_quietly
from tests.tiny_slakh import make_tree


@pytest.fixture
def raw(tmp_path):
    stems = ("piano", "guitar", "organ")
    make_tree(tmp_path / "raw", {"train": 1}, stems=stems, seconds=1, rate=44100)
    return tmp_path / "raw"


def test_another_rate(raw, tmp_path):
    report = prepare_quietly(raw, tmp_path / "out", sample_rate_hz=22050)
    assert report.sample_rate_hz == 22050
    assert "22050 Hz" in report.text()
    catalogue = Catalogue.load(tmp_path / "out")
    t = catalogue.tables
    assert t.sample_rate_hz == 22050
    assert t.track_num_samples.tolist() == [22050]
    expected = read_mono_pcm16(raw / "train/Track00001/stems/S00.flac", 22050)
    np.testing.assert_array_equal(catalogue.pcm()[0][:22050], expected)


def test_one_rate_a_directory(raw, tmp_path):
    prepare_quietly(raw, tmp_path / "out", sample_rate_hz=8000)
    for corpus in ("slakh2100", "minislakh"):
        with pytest.raises(ValueError, match=r"--sample_rate_hz=16000: .*out/slakh2100 .*8000 Hz"):
            prepare_quietly(raw, tmp_path / "out", corpus=corpus)
    prepare_quietly(raw, tmp_path / "out", corpus="minislakh", sample_rate_hz=8000)
    assert Catalogue.load(tmp_path / "out").tables.sample_rate_hz == 8000


def test_a_rate_too_low(raw, tmp_path):
    with pytest.raises(ValueError, match="--sample_rate_hz=16: must be at least 1000"):
        prepare_quietly(raw, tmp_path / "out", sample_rate_hz=16)


def test_all_classes_are_kept_or_those_that_are_named(raw, tmp_path):
    report = prepare_quietly(raw, tmp_path / "all")
    assert set(report.minutes["train"]) == {"piano", "guitar", "organ"}
    assert report.num_other_stems == 0
    report = prepare_quietly(raw, tmp_path / "two", instruments=("organ", "piano"))
    assert set(report.minutes["train"]) == {"piano", "organ"}
    assert report.num_other_stems == 1
    stems = Catalogue.load(tmp_path / "two").tables.stem_instruments.tolist()
    assert stems == ["piano", "organ"]
    with pytest.raises(ValueError, match="was prepared from another tree or with other settings"):
        prepare_quietly(raw, tmp_path / "two")
    with pytest.raises(ValueError, match="--instruments=piano,flute: expected some of piano"):
        prepare_quietly(raw, tmp_path / "three", instruments=("piano", "flute"))


def test_the_command_line(raw, tmp_path, capsys):
    flags = [f"--root={raw}", f"--out={tmp_path / 'out'}", "--num_workers=1"]
    assert prepare.main([*flags, "--instruments=organ", "--sample_rate_hz=8000"]) == 0
    t = Catalogue.load(tmp_path / "out").tables
    assert (t.stem_instruments.tolist(), t.sample_rate_hz) == (["organ"], 8000)
    capsys.readouterr()
    assert prepare.main([*flags, "--instruments=organ"]) == 1
    assert "was prepared at 8000 Hz" in capsys.readouterr().err
