"""The TFDS records of a prepared corpus: per track its notes, its loudness, where its PCM lies.

They are what a prepared corpus is: everything else is derived from them, and
`tfds.builder_from_directory(OUT/<corpus>/<version>).as_data_source(SPLIT)` reads them without this
code and without TensorFlow. The audio itself is not in them: random access to a flat memory-mapped
file is three times as fast.

Of the forms of TFDS some do not work for this. Integer tensors carry encoding='bytes', without
which each int16 becomes a varint, three times the size and 40 times slower. All tensors have one
axis: an empty one of two axes cannot be read back. The fields of a record are sorted: unsorted,
their order differs from process to process.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
from google.protobuf.json_format import ParseError
from tensorflow_datasets.proto import tf_example_pb2

from data_pipeline.io.files import whole_file
from data_pipeline.prepared.layout import RECORDS, VERSION

_DESCRIPTION = (
    "Stems, notes and loudness of the tracks of a corpus; the PCM lies in pcm.int16 beside."
)
_WRITER_OPTIONS = "group_size:1"  # those of TFDS: every record can be read on its own


def features() -> tfds.features.FeaturesDict:
    """The fields of a record, which is one track with its stems."""

    def array(dtype):
        return tfds.features.Tensor(shape=(None,), dtype=dtype, encoding="bytes")

    stem = {
        "id": tfds.features.Text(),
        "instrument": tfds.features.Text(),
        "program": np.int32,
        "is_drum": np.bool_,
        "is_labelled": np.bool_,  # whether its notes are known
        "pcm_start": np.int64,  # its first sample in the PCM file
    }
    return tfds.features.FeaturesDict(
        {
            "track_id": tfds.features.Text(),
            "num_samples": np.int64,
            "sample_rate_hz": np.int64,
            "gain": np.float32,  # of all stems against the corpus; older records have none, for 1
            "stems": tfds.features.Sequence(stem),
            "rms_hop": np.int64,  # samples per value of rms_db
            "rms_db": array(np.float16),  # of the first stem, then of the second, ...
            "note_stems": array(np.int16),  # ascending
            "onsets": array(np.float64),  # seconds
            "offsets": array(np.float64),
            "pitches": array(np.int16),
            "velocities": array(np.int16),
        }
    )


class TrackRecords(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes the records of one corpus.

    Args:
        records: for every split the records of its tracks.
    """

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, records: Mapping[str, Sequence[dict]], **kwargs):
        self._records = records
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, description=_DESCRIPTION, features=features())

    def _split_generators(self, dl_manager):
        del dl_manager
        return {split: self._generate_examples(split) for split in sorted(self._records)}

    def _generate_examples(self, split: str):
        return ((record["track_id"], {"gain": 1.0} | record) for record in self._records[split])


def write_records(
    records: Mapping[str, Sequence[dict]], corpus: str, out: str | os.PathLike
) -> Path:
    """Write the records to OUT/<corpus>/<version> and return that folder.

    Args:
        records: for every split the records of its tracks, of the form of `features`; one without
            a gain was not scaled.
        corpus: the name of the data set.
        out: where; the folder of the version must not be there yet.
    """
    kind = type("Records", (TrackRecords,), {"name": corpus}, skip_registration=True)
    builder = kind(records, data_dir=os.fspath(out), file_format="array_record")
    tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_dir=downloads)  # it downloads nothing
    folder = Path(builder.data_dir)
    for path in folder.glob(RECORDS):
        _sort_fields(path)
    return folder


def read_records(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """What `write_records` wrote: for every split the records of its tracks, with text as str.

    Raises:
        ValueError, RuntimeError, OSError: if a file is damaged or missing.
    """
    try:
        splits = tfds.builder_from_directory(os.fspath(folder)).as_data_source()
    except ParseError as error:
        raise ValueError(f"{folder}: a damaged file of JSON ({error})") from error
    return {
        split: [_with_text(record) for record in data_source]
        for split, data_source in splits.items()
    }


def _with_text(record: dict) -> dict:
    stems = dict(record["stems"])
    for name in ("id", "instrument"):
        stems[name] = [text.decode() for text in stems[name]]
    return record | {"track_id": record["track_id"].decode(), "stems": stems}


def _sort_fields(path: Path) -> None:
    """Write each record of a file anew, its fields in the order of their names."""
    reader = ArrayRecordReader(os.fspath(path))
    with whole_file(path) as temporary:
        writer = ArrayRecordWriter(os.fspath(temporary), _WRITER_OPTIONS)
        for _ in range(reader.num_records()):
            example = tf_example_pb2.Example.FromString(reader.read())
            writer.write(example.SerializeToString(deterministic=True))
        writer.close()
    reader.close()
