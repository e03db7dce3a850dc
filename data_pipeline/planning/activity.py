"""Which stems can be excerpted where: usable stems, and the start cells where they are active.

A start cell is a tenth of a second of a track. A stem is active there if the RMS of the excerpt
that starts in that cell exceeds a threshold (-30 dB in the Slakh paper). All choices are uniform
draws from flat lists of such cells.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from data_pipeline.prepared.catalogue import Catalogue


@dataclass(frozen=True)
class StartCells:
    """Cells of track i: cells[start[i] : start[i + 1]]; `tracks` are those that have any."""

    start: Int[np.ndarray, " k_plus_1"]
    cells: Int[np.ndarray, " c"]
    tracks: Int[np.ndarray, " u"]

    def pick(
        self, track_draw: Float[np.ndarray, " b"], cell_draw: Float[np.ndarray, " b"]
    ) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]:
        """A uniform track, then a uniform cell of it, from uniforms in [0, 1)."""
        track = self.tracks[(track_draw * len(self.tracks)).astype(np.int64)]
        count = self.start[track + 1] - self.start[track]
        return track, self.cells[self.start[track] + (cell_draw * count).astype(np.int64)]


@dataclass(frozen=True)
class Activity:
    """The stems of each instrument slot and where they are active.

    Args:
        candidates: per slot and track the stems of that class, -1 where there are fewer.
        num_starts: start cells of each track (0: shorter than the excerpt, or of another split).
        active_start: pointers into `active`, per stem.
        active: whether a stem is active in the excerpt that starts in this cell of its track.
        slots: start cells per slot, at which any stem of the class is active.
        joint: start cells at which every slot has an active stem.
    """

    candidates: tuple[Int[np.ndarray, "k _"], ...]
    num_starts: Int[np.ndarray, " k"]
    active_start: Int[np.ndarray, " s_plus_1"]
    active: Bool[np.ndarray, " starts"]
    slots: tuple[StartCells, ...]
    joint: StartCells

    def choose(
        self,
        slot: int,
        track: Int[np.ndarray, " b"],
        cell: Int[np.ndarray, " b"],
        draw: Float[np.ndarray, " b"],
    ) -> Int[np.ndarray, " b"]:
        """A stem of the class, uniform among those active there, from uniforms in [0, 1)."""
        stems = self.candidates[slot][track]
        position = self.active_start[stems] + cell[:, None]
        active = (stems >= 0) & self.active[np.where(stems >= 0, position, 0)]
        wanted = (draw * active.sum(axis=1)).astype(np.int64)
        chosen = np.argmax(np.cumsum(active, axis=1) > wanted[:, None], axis=1)
        return stems[np.arange(len(stems)), chosen]


def usable_stems(
    catalogue: Catalogue, instrument: str, corpus: str, split: str | None
) -> Int[np.ndarray, " u"]:
    """Stems of an instrument ('' as corpus: of any; None as split: of all)."""
    t = catalogue.tables
    wanted = t.stem_instruments == instrument
    if corpus:
        of_corpus = t.track_corpora == catalogue.corpora.index(corpus)
        wanted &= of_corpus[t.stem_tracks]
    if split is not None:
        wanted &= (t.track_splits == split)[t.stem_tracks]
    return np.flatnonzero(wanted)


def find_activity(
    catalogue: Catalogue,
    stems: list[Int[np.ndarray, " _"]],
    *,
    num_samples: int,
    threshold_db: float | int,
) -> Activity:
    """Where the given stems of each slot can be excerpted with `num_samples` samples."""
    t = catalogue.tables
    num_tracks = len(t.track_ids)
    fits = t.track_num_samples - num_samples
    num_starts = np.where(fits >= 0, fits // t.cell + 1, 0)
    used = np.unique(np.concatenate(stems)) if stems else np.zeros(0, np.int64)
    counts = np.zeros(len(t.stem_ids), np.int64)
    counts[used] = num_starts[t.stem_tracks[used]]
    active_start = np.concatenate([[0], np.cumsum(counts)])
    active = np.zeros(active_start[-1] + 1, np.bool_)  # one more, so that nothing can be empty
    span = max(1, num_samples // t.cell)
    for stem in used[counts[used] > 0].tolist():
        power = 10.0 ** (t.levels[t.level_start[stem] : t.level_start[stem + 1]] / np.float64(10))
        sums = np.concatenate([[0.0], np.cumsum(power)])
        first = np.arange(counts[stem])
        last = np.minimum(first + span, len(power))
        mean = (sums[last] - sums[np.minimum(first, last - 1)]) / span
        above = mean > 10.0 ** (threshold_db / 10)
        active[active_start[stem] : active_start[stem + 1]] = above
    slots, anywhere = [], []
    for slot_stems in stems:
        flags = [np.zeros(count, np.bool_) for count in num_starts]
        for stem in slot_stems.tolist():
            flags[t.stem_tracks[stem]] |= active[active_start[stem] : active_start[stem + 1]]
        anywhere.append(flags)
        slots.append(_start_cells(flags))
    joint = [np.logical_and.reduce([flags[k] for flags in anywhere]) for k in range(num_tracks)]
    candidates = tuple(_candidates(t.stem_tracks, s, num_tracks) for s in stems)
    return Activity(candidates, num_starts, active_start, active, tuple(slots), _start_cells(joint))


def _start_cells(flags: list[np.ndarray]) -> StartCells:
    counts = np.array([int(f.sum()) for f in flags], np.int64)
    cells = np.concatenate([np.flatnonzero(f) for f in flags]) if flags else np.zeros(0, np.int64)
    start = np.concatenate([[0], np.cumsum(counts)])
    return StartCells(start, cells.astype(np.int32), np.flatnonzero(counts))


def _candidates(stem_tracks: np.ndarray, stems: np.ndarray, num_tracks: int) -> np.ndarray:
    tracks = stem_tracks[stems]
    counts = np.bincount(tracks, minlength=num_tracks)
    table = np.full((num_tracks, max(1, counts.max(initial=0))), -1, np.int64)
    order = np.argsort(tracks, kind="stable")
    column = np.arange(len(stems)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[tracks[order], column] = stems[order]
    return table
