"""Converted tracks -> the files of a prepared corpus: one flat PCM file, TFDS records, tables."""

import importlib.util
import logging
import shutil
from pathlib import Path

import numpy as np

from data_pipeline.io.files import whole_file
from data_pipeline.prepared.catalogue import ALIGNED_SAMPLES, PCM, VERSION, Tables
from data_pipeline.prepared.convert import CELL_SECONDS, read_converted


def tables_of(converted: list[dict]) -> Tables:
    """The tables over converted tracks, whose PCM is to lie in their order."""
    converted = [one for one in converted if one["meta"]["stems"]]
    metas = [one["meta"] for one in converted]
    rate = metas[0]["sample_rate_hz"]
    stems = [stem for meta in metas for stem in meta["stems"]]
    counts = [len(meta["stems"]) for meta in metas]
    lengths = np.repeat([meta["num_samples"] for meta in metas], counts).astype(np.int64)
    cells = np.repeat([one["levels"].shape[1] for one in converted], counts)
    notes = [
        np.bincount(one["note_stems"], minlength=count)
        for one, count in zip(converted, counts, strict=True)
    ]

    def flat(name):
        return np.concatenate([one[name] for one in converted])

    def starts(lengths):
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    return Tables(
        sample_rate_hz=rate,
        cell=round(CELL_SECONDS * rate),
        track_ids=np.array([meta["id"] for meta in metas]),
        track_splits=np.array([meta["split"] for meta in metas]),
        track_corpora=np.zeros(len(metas), np.int32),
        track_num_samples=np.array([meta["num_samples"] for meta in metas], np.int64),
        stem_tracks=np.repeat(np.arange(len(metas)), counts).astype(np.int32),
        stem_ids=np.array([stem["id"] for stem in stems]),
        stem_instruments=np.array([stem["instrument"] for stem in stems]),
        stem_programs=np.array([stem["program"] for stem in stems], np.int32),
        stem_is_drum=np.array([stem["is_drum"] for stem in stems], np.bool_),
        stem_pcm_start=starts(lengths + -lengths % ALIGNED_SAMPLES)[:-1],
        level_start=starts(cells),
        levels=np.concatenate([one["levels"].ravel() for one in converted]),
        note_start=starts(np.concatenate(notes)),
        onsets=flat("intervals")[:, 0].copy(),
        offsets=flat("intervals")[:, 1].copy(),
        pitches=flat("pitches"),
        velocities=flat("velocities"),
    )


def pack(converted: list[dict], files: list[Path], corpus: str, out, *, records: bool) -> None:
    """Write records and PCM into OUT/<corpus>/<version>, anew."""
    final = Path(out) / corpus / VERSION
    for leftover in [final, *final.parent.glob("incomplete.*")]:
        shutil.rmtree(leftover, ignore_errors=True)  # of a run that ended while packing
    if records and importlib.util.find_spec("tensorflow_datasets") is None:
        logging.warning(
            "tensorflow_datasets is not installed: no TFDS records (nothing needs them)"
        )
    elif records:
        from data_pipeline.prepared.records import write_records

        write_records(tables_of(converted), corpus, out)
    final.mkdir(parents=True, exist_ok=True)
    with whole_file(final / PCM) as temporary, temporary.open("wb") as file:
        for path in files:
            for stem in read_converted(path, with_pcm=True)["pcm"]:
                file.write(bytes(-file.tell() % (2 * ALIGNED_SAMPLES)))
                stem.tofile(file)
