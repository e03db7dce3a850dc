"""The TFDS records say exactly what their numpy twin says."""

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import VERSION, Catalogue
from tests.tiny_slakh import make_tree

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("builder")
    make_tree(root / "raw", {"train": 2, "test_unseen": 1}, seconds=1.25)
    silent = root / "raw/train/Track00001/MIDI/S03.mid"
    from data_pipeline.io.midi import write_midi

    write_midi(silent, [])
    prepare.prepare("babyslakh", root / "raw", out=root / "out", progress=False)
    return root / "out"


def test_records_and_tables_agree(prepared):
    t = Catalogue.load(prepared).tables
    builder = tfds.builder_from_directory(prepared / "babyslakh" / VERSION)
    assert builder.name == "babyslakh"
    assert sorted(builder.info.splits) == ["test_unseen", "train"]
    seen = 0
    for split in builder.info.splits:
        for record in tfds.as_numpy(builder.as_dataset(split=split)):
            (track,) = np.flatnonzero(t.track_ids == record["track_id"].decode())
            seen += 1
            assert t.track_splits[track] == split
            assert t.track_num_samples[track] == record["num_samples"]
            assert t.sample_rate_hz == record["sample_rate_hz"]
            stems = np.flatnonzero(t.stem_tracks == track)
            names = {"stem_ids": "id", "stem_instruments": "instrument"}
            for ours, theirs in names.items():
                found = [value.decode() for value in record["stems"][theirs]]
                assert getattr(t, ours)[stems].tolist() == found
            numbers = {
                "stem_programs": "program",
                "stem_is_drum": "is_drum",
                "stem_pcm_start": "pcm_start",
            }
            for ours, theirs in numbers.items():
                np.testing.assert_array_equal(getattr(t, ours)[stems], record["stems"][theirs])
            for row, stem in enumerate(stems):
                notes = record["note_stems"] == row
                rows = slice(t.note_start[stem], t.note_start[stem + 1])
                np.testing.assert_array_equal(record["intervals"][notes, 0], t.onsets[rows])
                np.testing.assert_array_equal(record["intervals"][notes, 1], t.offsets[rows])
                np.testing.assert_array_equal(record["pitches"][notes], t.pitches[rows])
                np.testing.assert_array_equal(record["velocities"][notes], t.velocities[rows])
                levels = t.levels[t.level_start[stem] : t.level_start[stem + 1]]
                np.testing.assert_array_equal(record["levels"][row], levels)
    assert seen == 3


def test_integers_are_stored_as_bytes(prepared):
    from data_pipeline.prepared.records import _features

    for name in ("levels", "intervals", "pitches", "velocities"):
        assert _features()[name]._encoding.value == "bytes"


def test_nothing_else_is_left_behind(prepared):
    assert [path.name for path in prepared.iterdir()] == ["babyslakh"]
    assert [path.name for path in (prepared / "babyslakh").iterdir()] == [VERSION]


def test_the_bytes_do_not_depend_on_the_process(prepared):
    """Protocol buffers write maps in an order of the process, unless told otherwise."""
    import tensorflow as tf

    (path,) = (prepared / "babyslakh" / VERSION).glob("*-train.tfrecord*")
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        example = tf.train.Example.FromString(record)
        assert record == example.SerializeToString(deterministic=True)
