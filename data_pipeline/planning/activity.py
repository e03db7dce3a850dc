"""Which stems can be excerpted where: usable stems, and the start positions where they are active.

A start position counts tenths of a second of a track, the pieces whose RMS the tables hold. A stem
is active there if the RMS of the excerpt that starts with that piece exceeds a threshold (-30 dB in
the Slakh paper). All choices are uniform draws from flat lists of such positions.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from data_pipeline.instruments import takes
from data_pipeline.prepared.catalogue import Catalogue


@dataclass(frozen=True)
class StartPositions:
    """Those of track i are positions[start[i] : start[i + 1]]; `tracks` are those that have any."""

    start: Int[np.ndarray, " k_plus_1"]
    positions: Int[np.ndarray, " p"]
    tracks: Int[np.ndarray, " u"]

    def pick(
        self, track_draw: Float[np.ndarray, " b"], position_draw: Float[np.ndarray, " b"]
    ) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"]]:
        """A uniform track, then a uniform position in it, from uniforms in [0, 1)."""
        track = self.tracks[(track_draw * len(self.tracks)).astype(np.int64)]
        count = self.start[track + 1] - self.start[track]
        return track, self.positions[self.start[track] + (position_draw * count).astype(np.int64)]


@dataclass(frozen=True)
class Activity:
    """The stems of each instrument slot and where they are active.

    Args:
        candidates: per slot and track the stems of that class, -1 where there are fewer.
        num_starts: start positions of each track (0: shorter than the excerpt, or of another
            split).
        active_start: pointers into `active`, per stem.
        active: whether a stem is active in the excerpt that starts at this position of its track.
        slots: start positions per slot, at which any stem of the class is active.
        joint: start positions at which every slot has an active stem.
    """

    candidates: tuple[Int[np.ndarray, "k _"], ...]
    num_starts: Int[np.ndarray, " k"]
    active_start: Int[np.ndarray, " s_plus_1"]
    active: Bool[np.ndarray, " starts"]
    slots: tuple[StartPositions, ...]
    joint: StartPositions

    def choose(
        self,
        slot: int,
        track: Int[np.ndarray, " b"],
        position: Int[np.ndarray, " b"],
        draw: Float[np.ndarray, " b"],
    ) -> Int[np.ndarray, " b"]:
        """A stem of the class, uniform among those active there, from uniforms in [0, 1)."""
        stems = self.candidates[slot][track]
        index = self.active_start[stems] + position[:, None]
        active = (stems >= 0) & self.active[np.where(stems >= 0, index, 0)]
        rank = (draw * active.sum(axis=1)).astype(np.int64)
        column = np.argmax(np.cumsum(active, axis=1) > rank[:, None], axis=1)
        return stems[np.arange(len(stems)), column]


def usable_stems(
    catalogue: Catalogue,
    instrument: str,
    corpus: str,
    split: str | None,
    instruments: tuple[str, ...] = (),
) -> Int[np.ndarray, " u"]:
    """Stems of an instrument ('' as corpus: of any; None as split: of all).

    Those of `rest` are of all classes that are not among `instruments`.
    """
    t = catalogue.tables
    classes = np.unique(t.stem_instruments).tolist()
    usable = np.isin(
        t.stem_instruments, [name for name in classes if takes(instrument, name, instruments)]
    )
    if corpus:
        of_corpus = t.track_corpora == catalogue.corpora.index(corpus)
        usable &= of_corpus[t.stem_tracks]
    if split is not None:
        usable &= (t.track_splits == split)[t.stem_tracks]
    return np.flatnonzero(usable)


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
    latest = t.track_num_samples - num_samples
    num_starts = np.where(latest >= 0, latest // t.rms_hop + 1, 0)
    used = np.unique(np.concatenate(stems)) if stems else np.zeros(0, np.int64)
    counts = np.zeros(len(t.stem_ids), np.int64)
    counts[used] = num_starts[t.stem_tracks[used]]
    active_start = np.concatenate([[0], np.cumsum(counts)])
    active = np.zeros(active_start[-1] + 1, np.bool_)  # one more, so that nothing can be empty
    span = max(1, num_samples // t.rms_hop)
    for stem in used[counts[used] > 0].tolist():
        power = 10.0 ** (t.rms_db[t.rms_start[stem] : t.rms_start[stem + 1]] / np.float64(10))
        sums = np.concatenate([[0.0], np.cumsum(power)])
        first = np.arange(counts[stem])
        last = np.minimum(first + span, len(power))
        mean = (sums[last] - sums[np.minimum(first, last - 1)]) / span
        above = mean > 10.0 ** (threshold_db / 10)
        active[active_start[stem] : active_start[stem + 1]] = above
    slots, flags_of_slots = [], []
    for slot_stems in stems:
        flags = [np.zeros(count, np.bool_) for count in num_starts]
        for stem in slot_stems.tolist():
            flags[t.stem_tracks[stem]] |= active[active_start[stem] : active_start[stem + 1]]
        flags_of_slots.append(flags)
        slots.append(_start_positions(flags))
    joint = [
        np.logical_and.reduce([flags[track] for flags in flags_of_slots])
        for track in range(num_tracks)
    ]
    return Activity(
        tuple(_candidates(t.stem_tracks, slot_stems, num_tracks) for slot_stems in stems),
        num_starts,
        active_start,
        active,
        tuple(slots),
        _start_positions(joint),
    )


def _start_positions(flags: list[np.ndarray]) -> StartPositions:
    """The positions that are flagged, from a flag for each position of each track."""
    counts = np.array([int(of_track.sum()) for of_track in flags], np.int64)
    positions = [np.flatnonzero(of_track) for of_track in flags] or [np.zeros(0, np.int64)]
    start = np.concatenate([[0], np.cumsum(counts)])
    return StartPositions(start, np.concatenate(positions).astype(np.int32), np.flatnonzero(counts))


def _candidates(stem_tracks: np.ndarray, stems: np.ndarray, num_tracks: int) -> np.ndarray:
    tracks = stem_tracks[stems]
    counts = np.bincount(tracks, minlength=num_tracks)
    table = np.full((num_tracks, max(1, counts.max(initial=0))), -1, np.int64)
    order = np.argsort(tracks, kind="stable")
    column = np.arange(len(stems)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[tracks[order], column] = stems[order]
    return table
