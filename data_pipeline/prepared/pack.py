"""Converted tracks -> the folder of a prepared corpus: TFDS records, one PCM file, a report."""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from data_pipeline.io.files import flush
from data_pipeline.prepared.convert import RMS_HOP_SECONDS, read_converted
from data_pipeline.prepared.layout import ALIGNED_SAMPLES, PCM, REPORT, VERSION
from data_pipeline.prepared.tables import Tables
from data_pipeline.prepared.tables_cache import load_tables

_SPLIT_NAME = re.compile(r"(?!all$)[\w-]+")  # what TFDS reads as the name of a split


def check_records_can_be_written(splits: Iterable[str]) -> None:
    """Meet what TFDS would refuse before hours are spent on what it should write.

    Raises:
        ValueError: if TFDS is not installed, or cannot read splits of these names.
    """
    for split in splits:
        if not _SPLIT_NAME.fullmatch(split):
            raise ValueError(
                f"{split!r} cannot be the name of a split: letters, digits, _ and - are allowed, "
                "and 'all' is reserved; rename that folder"
            )
    for name in ("tensorflow_datasets", "array_record"):
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"preparing writes TFDS records, and {name} is not installed; "
                "pip install tensorflow-datasets array-record"
            )


def records_of(converted: Sequence[dict]) -> dict[str, list[dict]]:
    """For every split the records of its tracks, whose PCM is to lie in the order of `converted`.

    Tracks without stems are left out.
    """
    records, end = {}, 0
    for track in converted:
        meta = track["meta"]
        stems, num_samples = meta["stems"], meta["num_samples"]
        if not stems:
            continue
        num_aligned = num_samples + -num_samples % ALIGNED_SAMPLES
        record = {
            "track_id": meta["id"],
            "num_samples": num_samples,
            "sample_rate_hz": meta["sample_rate_hz"],
            "gain": meta.get("gain", 1.0),
            "stems": {
                "id": [stem["id"] for stem in stems],
                "instrument": [stem["instrument"] for stem in stems],
                "program": [stem["program"] for stem in stems],
                "is_drum": [stem["is_drum"] for stem in stems],
                "is_labelled": [stem.get("labelled", True) for stem in stems],
                "pcm_start": [end + i * num_aligned for i in range(len(stems))],
            },
            "rms_hop": round(RMS_HOP_SECONDS * meta["sample_rate_hz"]),
            "rms_db": track["rms_db"].ravel(),
            "note_stems": track["note_stems"],
            "onsets": track["intervals"][:, 0],
            "offsets": track["intervals"][:, 1],
            "pitches": track["pitches"],
            "velocities": track["velocities"],
        }
        end += len(stems) * num_aligned
        records.setdefault(meta["split"], []).append(record)
    return records


def tables_of(converted: Sequence[dict]) -> Tables:
    """The tables over converted tracks, whose PCM is to lie in their order."""
    return Tables.of_records(records_of(converted))


def pack(converted: Sequence[dict], files: Sequence[Path], report: str, home: Path) -> None:
    """Write HOME/<version> anew; it appears when it is whole.

    Args:
        converted: what the converted tracks hold, without their PCM.
        files: the files of these tracks, from which their PCM is read.
        report: text of the report file.
        home: OUT/<corpus>.
    """
    from data_pipeline.prepared.records import write_records

    unfinished = home / "part-packing"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that ended while packing
    folder = write_records(records_of(converted), home.name, unfinished)
    load_tables(folder)  # leaves their file beside the records
    with (folder / PCM).open("wb") as file:
        for path in files:
            for stem in read_converted(path, with_pcm=True)["pcm"]:
                file.write(bytes(-file.tell() % (2 * ALIGNED_SAMPLES)))
                stem.tofile(file)
    (folder / REPORT).write_text(report)
    for path in folder.iterdir():
        flush(path)
    shutil.rmtree(home / VERSION, ignore_errors=True)
    os.replace(folder, home / VERSION)
