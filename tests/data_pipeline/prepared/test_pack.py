"""Packing: PCM in the order of the tables, leftovers of an interrupted run removed."""

import re
import sys

import numpy as np
import pytest

from data_pipeline.corpora import slakh
from data_pipeline.prepared import convert
from data_pipeline.prepared.layout import ALIGNED_SAMPLES, PCM, REPORT, TABLES, VERSION
from data_pipeline.prepared.pack import check_records_can_be_written, pack, tables_of
from data_pipeline.prepared.tables_cache import load_tables
from tests.tiny_run import prepare_data
from tests.tiny_slakh import make_tree


def test_pcm_lies_where_the_tables_say(tmp_path):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano", "bass"), seconds=0.5005)
    make_tree(tmp_path / "raw", {"test": 1}, stems=("piano",), seconds=0.5)
    files = []
    for track in slakh.scan(tmp_path / "raw", splits="folders"):
        files.append(tmp_path / f"{track.split}-{track.id}.npz")
        convert.convert(convert.Job(track, files[-1], 16000))
    converted = [convert.read_converted(path) for path in files]
    home = tmp_path / "out/slakh2100"
    for leftover in (home / VERSION, home / "part-packing/slakh2100"):
        leftover.mkdir(parents=True)
        (leftover / "half").touch()
    pack(converted, files, "the report", home)
    assert not (home / VERSION / "half").exists()
    assert (home / VERSION / REPORT).read_text() == "the report"
    assert (home / VERSION / TABLES).is_file()
    tables = load_tables(home / VERSION)
    for name, value in vars(tables_of(converted)).items():
        np.testing.assert_array_equal(getattr(tables, name), value)
        assert np.asarray(getattr(tables, name)).dtype == np.asarray(value).dtype
    assert tables.track_ids.tolist() == [track["meta"]["id"] for track in converted]
    assert tables.track_splits.tolist() == [track["meta"]["split"] for track in converted]
    pcm = np.fromfile(home / VERSION / PCM, np.int16)
    assert not (tables.stem_pcm_start % ALIGNED_SAMPLES).any()
    lengths = tables.track_num_samples[tables.stem_tracks]
    assert len(pcm) == tables.stem_pcm_start[-1] + lengths[-1]
    expected = [convert.read_converted(path, with_pcm=True)["pcm"] for path in files]
    rows = [row for stems in expected for row in stems]
    for start, row in zip(tables.stem_pcm_start, rows, strict=True):
        np.testing.assert_array_equal(pcm[start : start + len(row)], row)


def test_a_track_without_stems_is_no_track(tmp_path):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano",), seconds=0.5)
    converted = []
    for track in slakh.scan(tmp_path / "raw"):
        convert.convert(convert.Job(track, tmp_path / "x.npz", 16000))
        converted.append(convert.read_converted(tmp_path / "x.npz"))
    converted[0]["meta"]["stems"] = []
    assert tables_of(converted).track_ids.tolist() == [converted[1]["meta"]["id"]]


def test_the_package_that_writes_the_records_is_missed_at_once(monkeypatch):
    check_records_can_be_written({"train"})
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r"(?s)tensorflow_datasets.*pip install"):
        check_records_can_be_written({"train"})


@pytest.mark.parametrize("split", ["train", "test_unseen", "a-b", "2018", "allegro"])
def test_splits_of_these_names_can_be_read(tmp_path, split):
    check_records_can_be_written([split])
    prepare_data(tmp_path, splits=(split,))
    assert set(load_tables(tmp_path / "tiny" / VERSION).track_splits.tolist()) == {split}


@pytest.mark.parametrize("split", ["all", "my split", "train+x", "a.b", "train[:1]", ""])
def test_splits_of_names_that_tfds_cannot_read_are_refused_at_once(split):
    with pytest.raises(
        ValueError, match=f"^{re.escape(repr(split))} cannot be the name of a split"
    ):
        check_records_can_be_written(["train", split])
