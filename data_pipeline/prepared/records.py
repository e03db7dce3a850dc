"""The TFDS records of a prepared corpus: per track its notes, levels and where its PCM lies.

The audio itself is not in the records: random access to a flat memory-mapped file is three times as
fast. Integer tensors carry encoding='bytes', without which TFDS stores each int16 as a varint,
three times the size and 40 times slower.
"""

import contextlib
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data_pipeline.io.files import whole_file
from data_pipeline.prepared.catalogue import VERSION, Tables
from data_pipeline.reading.cpu_tensorflow import tf

_DESCRIPTION = (
    "Stems, notes and levels of the tracks of a corpus; the PCM lies in pcm.int16 beside."
)


def _features() -> tfds.features.FeaturesDict:
    def tensor(shape, dtype):
        return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")

    stem = {
        "id": tfds.features.Text(),
        "instrument": tfds.features.Text(),
        "program": np.int32,
        "is_drum": np.bool_,
        "pcm_start": np.int64,
    }
    return tfds.features.FeaturesDict(
        {
            "track_id": tfds.features.Text(),
            "num_samples": np.int64,
            "sample_rate_hz": np.int64,
            "stems": tfds.features.Sequence(stem),
            "levels": tensor((None, None), np.float16),  # stem, cell
            "note_stems": tensor((None,), np.int16),
            "intervals": tensor((None, 2), np.float64),
            "pitches": tensor((None,), np.int16),
            "velocities": tensor((None,), np.int16),
        }
    )


def records(tables: Tables, split: str):
    """(key, record) of each track of a split, as the features above want them."""
    t = tables
    for track in np.flatnonzero(t.track_splits == split).tolist():
        stems = np.flatnonzero(t.stem_tracks == track)
        first, last = stems[0], stems[-1] + 1
        notes = slice(t.note_start[first], t.note_start[last])
        counts = np.diff(t.note_start[first : last + 1])
        levels = t.levels[t.level_start[first] : t.level_start[last]]
        yield (
            str(t.track_ids[track]),
            {
                "track_id": str(t.track_ids[track]),
                "num_samples": int(t.track_num_samples[track]),
                "sample_rate_hz": t.sample_rate_hz,
                "stems": [
                    {
                        "id": str(t.stem_ids[stem]),
                        "instrument": str(t.stem_instruments[stem]),
                        "program": int(t.stem_programs[stem]),
                        "is_drum": bool(t.stem_is_drum[stem]),
                        "pcm_start": int(t.stem_pcm_start[stem]),
                    }
                    for stem in stems
                ],
                "levels": levels.reshape(len(stems), -1),
                "note_stems": np.repeat(np.arange(len(stems)), counts).astype(np.int16),
                "intervals": np.stack([t.onsets[notes], t.offsets[notes]], axis=1),
                "pitches": t.pitches[notes],
                "velocities": t.velocities[notes],
            },
        )


class TrackRecords(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builds the records of one corpus from its tables."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, tables: Tables, **kwargs):
        self._tables = tables
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, description=_DESCRIPTION, features=_features())

    def _split_generators(self, dl_manager):
        del dl_manager
        splits = sorted(set(self._tables.track_splits.tolist()))
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split: str):
        return records(self._tables, split)


def write_records(tables: Tables, corpus: str, out: str | os.PathLike) -> Path:
    """Write the records to OUT/<corpus>/<version> and return that folder."""
    kind = type("Records", (TrackRecords,), {"name": corpus}, skip_registration=True)
    builder = kind(tables, data_dir=os.fspath(out))
    tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_dir=downloads)  # it downloads nothing
    for path in Path(builder.data_dir).glob("*.tfrecord*"):
        _in_fixed_order(path)
    return Path(builder.data_dir)


def _in_fixed_order(path: Path) -> None:
    """Sort the features of each record: unsorted, their order differs from process to process."""
    records = [record.numpy() for record in tf.data.TFRecordDataset(os.fspath(path))]
    with whole_file(path) as temporary, tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
        for record in records:
            example = tf.train.Example.FromString(record)
            writer.write(example.SerializeToString(deterministic=True))
