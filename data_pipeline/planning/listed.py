"""The planner of a list of excerpts: the very ones, or an error that says what does not fit."""

from collections.abc import Sequence

import numpy as np

from cerberus_jax.frames import FrameGrid
from data_pipeline.instruments import takes
from data_pipeline.planning.batch import PlanConfig, PlannedBatch
from data_pipeline.planning.excerpt_list import ExcerptList, Source, sources_of
from data_pipeline.planning.notes import NoteTable
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue

RMS_TOLERANCE_DB = 0.1  # far above what another resampler changes, far below another song
PITCH_TOLERANCE = 0.02  # semitones; means are rounded to 0.01


class ListedPlanner(Planner):
    """A planner whose excerpts are those of a list instead of drawn ones.

    Args:
        catalogue: the prepared data, holding all tracks of the list.
        excerpts: the list.
        grid: the frames on which notes are placed.
        name: of the list, for messages.

    Raises:
        ValueError: if the data lack a source of the list, or differ from those it was made of.
    """

    def __init__(
        self, catalogue: Catalogue, excerpts: ExcerptList, grid: FrameGrid, *, name: str = "list"
    ):
        t = catalogue.tables
        for what, rate in (("at", t.sample_rate_hz), ("for a grid at", grid.sample_rate_hz)):
            if rate != excerpts.sample_rate_hz:
                raise ValueError(
                    f"{name}: the excerpts are at {excerpts.sample_rate_hz} Hz, "
                    f"used {what} {rate} Hz"
                )
        self.catalogue, self.excerpt_list = catalogue, excerpts
        self.config = PlanConfig(
            instruments=excerpts.instruments,
            grid=grid,
            num_samples=excerpts.num_samples,
            batch_size=1,
            split=excerpts.split,
            gain_db=0.0,
            fixed=True,
        )
        rows = excerpts.excerpts
        shape = (len(rows), len(excerpts.instruments))
        self._offsets = np.array([[source.start for source in row] for row in rows]).reshape(shape)
        self._gains = np.array([[source.gain for source in row] for row in rows], np.float32)
        self._stems = _find_stems(catalogue, excerpts, name)
        length = t.track_num_samples[t.stem_tracks[self._stems]]
        late = (self._offsets < 0) | (self._offsets + excerpts.num_samples > length)
        if late.any():
            number = int(np.flatnonzero(late.any(axis=1))[0])
            raise ValueError(f"{name}: excerpt {number} lies outside its track {rows[number]}")
        self._table = NoteTable(t, grid, excerpts.num_samples)
        self._num_notes = max(1, self._table.max_notes(np.unique(self._stems)))
        self._check_contents(name)

    def __len__(self) -> int:
        return len(self._stems)

    def batches(self, steps: Sequence[int], *, rows: slice = slice(None)) -> PlannedBatch:
        """Some excerpts, each being a batch of one."""
        for k in steps:
            if not 0 <= k < len(self):
                raise ValueError(f"ListedPlanner.batch: k must lie in 0..{len(self) - 1}, got {k}")
        t = self.catalogue.tables
        chosen = [i for k in steps for i in range(k, k + 1)[rows]]
        stems, offsets = self._stems[chosen], self._offsets[chosen]
        return PlannedBatch(
            stems=stems,
            corpora=t.track_corpora[t.stem_tracks[stems]],
            starts=t.stem_pcm_start[stems] + offsets,
            offsets=offsets,
            gains=self._gains[chosen],
            notes=self._table.notes_of(stems, offsets, self._num_notes),
            labelled=t.stem_is_labelled[stems],
            catalogue=self.catalogue,
        )

    def _check_contents(self, name: str) -> None:
        root = self.catalogue.root
        for number, row in enumerate(self.excerpt_list.excerpts):
            (sources,) = sources_of(self.batch(number), self)
            for source, listed in zip(sources, row, strict=True):
                if not _same_content(source, listed):
                    raise ValueError(
                        f"{name}: excerpt {number} was made from other data than "
                        f"{root}: {listed.track} {listed.stem} has "
                        f"{_content(source)} there, and {_content(listed)} in the list"
                    )
                difference = abs(source.mean_pitch - listed.mean_pitch)
                if listed.mean_pitch and difference > PITCH_TOLERANCE:
                    raise ValueError(
                        f"{name}: excerpt {number} was made from other labels than "
                        f"{root}: the mean pitch of {listed.track} {listed.stem} is "
                        f"{source.mean_pitch} there, and {listed.mean_pitch} in the list; prepare "
                        "with the settings of the list's data (--bass_octave_correction)"
                    )


def _same_content(source: Source, listed: Source) -> bool:
    same_rms = abs(source.rms_db - listed.rms_db) <= RMS_TOLERANCE_DB
    return same_rms and source.num_notes == listed.num_notes


def _content(source: Source) -> str:
    return f"{source.num_notes} notes at {source.rms_db} dB"


def _find_stems(catalogue: Catalogue, excerpts: ExcerptList, name: str) -> np.ndarray:
    t = catalogue.tables
    tracks = t.stem_tracks
    corpora = np.array(catalogue.corpora)[t.track_corpora[tracks]].tolist()
    columns = (corpora, t.track_splits[tracks].tolist(), t.track_ids[tracks].tolist())
    stem_of = {
        (*key, stem): row
        for row, (*key, stem) in enumerate(zip(*columns, t.stem_ids.tolist(), strict=True))
    }
    stems = np.zeros((len(excerpts.excerpts), len(excerpts.instruments)), np.int64)
    for number, row in enumerate(excerpts.excerpts):
        for slot, source in enumerate(row):
            key = (source.corpus, excerpts.split, source.track, source.stem)
            if key not in stem_of:
                raise ValueError(
                    f"{name}: excerpt {number} needs {' / '.join(key)}, which {catalogue.root} "
                    "lacks; prepare the corpus and splits that the list was made of"
                )
            stems[number, slot] = stem_of[key]
            instrument = str(t.stem_instruments[stem_of[key]])
            if not takes(excerpts.instruments[slot], instrument, excerpts.instruments):
                raise ValueError(
                    f"{name}: excerpt {number} has {' / '.join(key)} for "
                    f"{excerpts.instruments[slot]}; {catalogue.root} says {instrument}"
                )
    return stems
