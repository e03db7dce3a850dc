"""Lists of excerpts as files, so that others can evaluate on the very same mixtures.

A list names each source by corpus, track, stem, first sample and gain: enough to cut it out of the
corpus without this code. It also holds the RMS of each source, the number of its notes and their
mean pitch, so that songs of the same names but other contents, or other labels, are noticed.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from cerberus_jax.json_files import read_json
from cerberus_jax.outside import refusing
from data_pipeline.io.files import whole_file
from data_pipeline.io.pcm import PCM_SCALE
from data_pipeline.planning.batch import PlannedBatch
from data_pipeline.planning.planner import Planner

FORMAT = "cerberus_jax excerpts"
FORMAT_VERSION = 1
_SOURCE_FORM = {
    **dict.fromkeys(("corpus", "track", "stem"), str),
    **dict.fromkeys(("start", "num_notes"), int),
    **dict.fromkeys(("gain", "rms_db", "mean_pitch?"), float),
}
_HEAD_FORM = {"data_version": str, "split": str, "sample_rate_hz": int, "num_samples": int}
_FORM = {
    "format": (FORMAT,),
    "version": (FORMAT_VERSION,),
    **_HEAD_FORM,
    "instruments": [str],
    "excerpts": [[_SOURCE_FORM]],
}


@dataclass(frozen=True)
class Source:
    """Where one source of an excerpt comes from.

    Args:
        corpus: the corpus.
        track: the track's name.
        stem: the stem's name in it.
        start: first sample, counted from the start of the track.
        gain: linear.
        rms_db: before the gain, re full scale.
        num_notes: notes that sound in the excerpt.
        mean_pitch: of these notes; 0 if there are none, or where an older list does not say.
    """

    corpus: str
    track: str
    stem: str
    start: int
    gain: float
    rms_db: float
    num_notes: int
    mean_pitch: float = 0.0


@dataclass(frozen=True)
class ExcerptList:
    """What a file of excerpts holds: `excerpts` [excerpt][instrument], and what they share."""

    data_version: str
    split: str
    instruments: tuple[str, ...]
    sample_rate_hz: int
    num_samples: int
    excerpts: tuple[tuple[Source, ...], ...]

    @classmethod
    def of(cls, planner: Planner, count: int) -> "ExcerptList":
        """The first `count` excerpts of a planner."""
        if count < 1:
            raise ValueError(f"count must be positive, got {count}")
        for name in ("augment_semitones", "augment_equaliser_db"):
            if getattr(planner.config, name):
                raise ValueError(f"{name} must be 0: a list holds excerpts as they are")
        t = planner.catalogue.tables
        size = planner.config.batch_size
        planned = (planner.batch(k) for k in range(-(-count // size)))
        excerpts = [row for batch in planned for row in sources_of(batch, planner)]
        return cls(
            data_version=planner.catalogue.version,
            split=planner.config.split,
            instruments=tuple(planner.config.instruments),
            sample_rate_hz=t.sample_rate_hz,
            num_samples=planner.config.num_samples,
            excerpts=tuple(excerpts[:count]),
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the list as JSON, one excerpt a line."""
        head = {"format": FORMAT, "version": FORMAT_VERSION} | asdict(self)
        rows = head.pop("excerpts")
        lines = ",\n  ".join(json.dumps(row, allow_nan=False) for row in rows)
        text = json.dumps(head, indent=1)[:-2] + f',\n "excerpts": [\n  {lines}\n ]\n}}\n'
        with whole_file(path) as temporary:
            temporary.write_text(text)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "ExcerptList":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is something else.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such list of excerpts; write one with python -m data_pipeline.excerpts"
            )
        head = read_json(path, "a list of excerpts", _FORM)
        rows = tuple(tuple(_source(values) for values in row) for row in head["excerpts"])
        with refusing(path, "a list of excerpts"):
            _check_head(head, rows)
        result = cls(
            instruments=tuple(head["instruments"]),
            excerpts=rows,
            **{name: head[name] for name in _HEAD_FORM},
        )
        for number, row in enumerate(rows):
            if len(row) != len(result.instruments):
                raise ValueError(
                    f"{path}: excerpt {number} has {len(row)} sources for "
                    f"{len(result.instruments)} instruments"
                )
        return result


def sources_of(planned: PlannedBatch, planner: Planner) -> list[tuple[Source, ...]]:
    """Where the sources of a batch come from, a row per excerpt."""
    catalogue, config = planner.catalogue, planner.config
    t, pcm = catalogue.tables, catalogue.pcm()
    result = []
    for b in range(len(planned.stems)):
        row = []
        for s, stem in enumerate(planned.stems[b].tolist()):
            track, start = t.stem_tracks[stem], int(planned.offsets[b, s])
            begin = start / t.sample_rate_hz
            notes = catalogue.notes(stem).window(
                begin, begin + config.num_samples / t.sample_rate_hz
            )
            first = int(planned.starts[b, s])
            audio = pcm[t.track_corpora[track]][first : first + config.num_samples]
            power = np.mean((audio / PCM_SCALE) ** 2, dtype=np.float64)
            row.append(
                Source(
                    corpus=catalogue.corpora[t.track_corpora[track]],
                    track=str(t.track_ids[track]),
                    stem=str(t.stem_ids[stem]),
                    start=start,
                    gain=float(planned.gains[b, s]),
                    rms_db=round(10 * float(np.log10(max(power, 1e-12))), 2),
                    num_notes=len(notes),
                    mean_pitch=round(float(notes.pitches.mean()), 2) if len(notes) else 0.0,
                )
            )
        result.append(tuple(row))
    return result


def _check_head(head: dict, rows: tuple) -> None:
    for name in ("sample_rate_hz", "num_samples"):
        if head[name] < 1:
            raise ValueError(f"{name} must be a positive whole number, got {head[name]!r}")
    if not rows:
        raise ValueError("it has no excerpts")


def _source(values: dict) -> Source:
    kinds = {field.name: field.type for field in fields(Source)}
    return Source(**{name: kind(values[name]) for name, kind in kinds.items() if name in values})
