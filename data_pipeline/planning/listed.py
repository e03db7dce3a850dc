"""The planner of a list of excerpts: the very ones, or an error that says what does not fit."""

from collections.abc import Sequence

import numpy as np

from cerberus_jax.frames import FrameGrid
from data_pipeline.planning.batch import PlanConfig, PlannedBatch
from data_pipeline.planning.excerpt_list import ExcerptList, Source, sources_of
from data_pipeline.planning.notes import NoteTable
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue

LEVEL_TOLERANCE_DB = 0.1  # far above what another resampler changes, far below another song
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
        for what, wanted, found in (
            ("at", excerpts.sample_rate_hz, t.sample_rate_hz),
            ("for a grid at", excerpts.sample_rate_hz, grid.sample_rate_hz),
        ):
            if wanted != found:
                raise ValueError(f"{name}: the excerpts are at {wanted} Hz, used {what} {found} Hz")
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
        self._offsets = np.array([[one.start for one in row] for row in rows]).reshape(shape)
        self._gains = np.array([[one.gain for one in row] for row in rows], np.float32)
        self._stems = _find_stems(catalogue, excerpts, name)
        length = t.track_num_samples[t.stem_tracks[self._stems]]
        late = (self._offsets < 0) | (self._offsets + excerpts.num_samples > length)
        if late.any():
            number = int(np.flatnonzero(late.any(axis=1))[0])
            raise ValueError(f"{name}: excerpt {number} lies outside its track {rows[number]}")
        self._table = NoteTable(t, grid, excerpts.num_samples)
        self._num_notes = max(1, self._table.most_notes(np.unique(self._stems)))
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
            catalogue=self.catalogue,
        )

    def _check_contents(self, name: str) -> None:
        for number, expected in enumerate(self.excerpt_list.excerpts):
            (found,) = sources_of(self.batch(number), self)
            for one, other in zip(found, expected, strict=True):
                if not _same_content(one, other):
                    raise ValueError(
                        f"{name}: excerpt {number} was made from other data than "
                        f"{self.catalogue.root}: {other.track} {other.stem} has "
                        f"{_content(one)} there, and {_content(other)} in the list"
                    )
                if other.mean_pitch and abs(one.mean_pitch - other.mean_pitch) > PITCH_TOLERANCE:
                    raise ValueError(
                        f"{name}: excerpt {number} was made from other labels than "
                        f"{self.catalogue.root}: the mean pitch of {other.track} {other.stem} is "
                        f"{one.mean_pitch} there, and {other.mean_pitch} in the list; prepare with "
                        "the settings of the list's data (--bass_octave_correction)"
                    )


def _same_content(one: Source, other: Source) -> bool:
    same_level = abs(one.rms_db - other.rms_db) <= LEVEL_TOLERANCE_DB
    return same_level and one.num_notes == other.num_notes


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
    found = np.zeros((len(excerpts.excerpts), len(excerpts.instruments)), np.int64)
    for number, row in enumerate(excerpts.excerpts):
        for slot, one in enumerate(row):
            key = (one.corpus, excerpts.split, one.track, one.stem)
            if key not in stem_of:
                raise ValueError(
                    f"{name}: excerpt {number} needs {' / '.join(key)}, which {catalogue.root} "
                    "lacks; prepare the corpus and splits that the list was made of"
                )
            found[number, slot] = stem_of[key]
            instrument = str(t.stem_instruments[stem_of[key]])
            if instrument != excerpts.instruments[slot]:
                raise ValueError(
                    f"{name}: excerpt {number} has {' / '.join(key)} for "
                    f"{excerpts.instruments[slot]}; {catalogue.root} says {instrument}"
                )
    return found
