"""Packing: PCM in the order of the tables, leftovers of an interrupted run removed."""

import numpy as np

from data_pipeline.corpora import slakh
from data_pipeline.prepared import convert
from data_pipeline.prepared.catalogue import ALIGNED_SAMPLES
from data_pipeline.prepared.pack import pack, tables_of
from tests.tiny_slakh import make_tree


def test_pcm_lies_where_the_tables_say(tmp_path):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano", "bass"), seconds=0.5005)
    make_tree(tmp_path / "raw", {"test": 1}, stems=("no_class",), seconds=0.5)
    files = []
    for track in slakh.scan(tmp_path / "raw"):
        files.append(tmp_path / f"{track.split}-{track.id}.npz")
        convert.convert(convert.Job(track, files[-1], 16000))
    leftover = tmp_path / "out/slakh2100/1.0.0"
    leftover.mkdir(parents=True)
    (leftover / "half").touch()
    converted = [convert.read_converted(path) for path in files]
    pack(converted, files, "slakh2100", tmp_path / "out", records=False)
    tables = tables_of(converted)
    assert [path.name for path in leftover.iterdir()] == ["pcm.int16"]
    pcm = np.fromfile(leftover / "pcm.int16", np.int16)
    assert not (tables.stem_pcm_start % ALIGNED_SAMPLES).any()
    assert len(pcm) == tables.stem_pcm_start[-1] + 8008
    assert tables.track_splits.tolist() == ["train", "train"]  # without a class there is none
    expected = [convert.read_converted(path, with_pcm=True)["pcm"] for path in files]
    rows = [row for stems in expected for row in stems]
    for start, row in zip(tables.stem_pcm_start, rows, strict=True):
        np.testing.assert_array_equal(pcm[start : start + 8008], row)
