"""The best decoding of one instrument's rolls: a search along one setting after the other.

A decoding is scored in milliseconds: all items are segmented at once, keys that never reach the
lowest threshold are left out, and onsets are matched as mir_eval does, by a largest matching
(note_matching.py). Which notes count at the borders of an item is what
`experiments.evaluation.note_scores` says.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from cerberus_jax.decoding import shifted_intervals
from cerberus_jax.decoding_config import DecodingConfig
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, Notes
from cerberus_jax.segmentation import segment
from data_pipeline.planning.rolls import note_frames
from experiments.evaluation.note_scores import (
    FRAME_VELOCITY_THRESHOLD,
    activity,
    may_count,
    split_at_borders,
)
from experiments.training.note_matching import matched_notes, matched_onsets

# Searched in this order, twice.
CANDIDATES = {
    "threshold": tuple(np.round(np.arange(0.1, 0.91, 0.05), 2).tolist()),
    "dip": (0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
    "hysteresis": (0.4, 0.55, 0.7, 0.85, 1.0),
    "min_frames": (1, 2, 3, 4),
    "max_gap_frames": (0, 1, 2, 3),
    "onset_shift_seconds": tuple(np.round(np.arange(-0.06, 0.061, 0.01), 2).tolist()),
}
# Beside these where there is a roll of onsets.
ONSET_CANDIDATES = {
    "onset_threshold": tuple(np.round(np.arange(0.1, 0.91, 0.05), 2).tolist()),
    "onset_support": (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 1.0),
    "frame_support": (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    "onset_distance_frames": (1, 2, 3),
}
THRESHOLDS = ("threshold", "onset_threshold")
# What makes one of two rolls count alone: no onset is sure enough, or none is taken from the other.
BY_FRAMES = {"onset_threshold": 1.0, "onset_support": 0.0}
BY_ONSETS = {"onset_support": 1.0}
MIN_GAIN = 0.002  # a setting is changed for no less: smaller differences are chance
_PITCHES = 128


class DecodingTask:
    """Rolls and reference notes of one instrument, ready to score any decoding.

    Args:
        rolls: probabilities of each item, all of one shape.
        references: its notes, in seconds from its first sample; items without notes are left out.
        grid: the frames of the rolls.
        num_samples: length of every item.
        onset_rolls: probabilities that a note begins; None for a network without such rolls.
        with_offsets: whether the ends of the instrument's notes mean anything.
    """

    def __init__(
        self,
        rolls: Sequence[Float[np.ndarray, "t p"]],
        references: Sequence[Notes],
        grid: FrameGrid,
        *,
        num_samples: int,
        onset_rolls: Sequence[Float[np.ndarray, "t p"]] | None = None,
        with_offsets: bool = False,
    ):
        scored = [k for k, notes in enumerate(references) if len(notes)]
        references = [references[k] for k in scored]
        self.grid, self.num_items, self.with_offsets = grid, len(scored), with_offsets
        self.seconds = num_samples / grid.sample_rate_hz
        self.onset_rows, self._last, self._criteria = None, None, {}
        self.has_onset_rolls = onset_rolls is not None
        self.num_counted = np.zeros(0, np.int64)
        if not scored:
            return
        stacked = _stack(rolls, scored)
        heard = stacked.max(-1) >= min(CANDIDATES["threshold"])
        if self.has_onset_rolls:
            stacked_onsets = _stack(onset_rolls, scored)
            heard |= stacked_onsets.max(-1) >= min(ONSET_CANDIDATES["onset_threshold"])
        item, key = np.nonzero(heard)
        self.rows, self.row_items, self.row_pitches = stacked[item, key], item, key + LOWEST_PITCH
        if self.has_onset_rolls:
            self.onset_rows = stacked_onsets[item, key]
        self._set_references(references, item, key, stacked.shape[-1])

    def _set_references(self, references, item, key, num_frames):
        heard = [notes.select(notes.velocities > FRAME_VELOCITY_THRESHOLD) for notes in references]
        active = np.stack([activity(notes, self.grid, num_frames).T for notes in heard])
        self.active_rows = active[item, key]
        self.num_active = active.sum((1, 2))
        counted, carried_in = zip(
            *(split_at_borders(notes, self.seconds) for notes in references), strict=True
        )
        self.num_counted = np.array([len(notes) for notes in counted])
        places = self._places_of(counted)
        order = np.argsort(places)
        self.counted = places[order]
        self.lengths = np.concatenate([np.diff(notes.intervals)[:, 0] for notes in counted])[order]
        self.counted_or_carried_in = np.sort(np.append(places, self._places_of(carried_in)))

    def without_onset_rolls(self) -> "DecodingTask":
        """The same with the roll of what sounds alone."""
        alone = copy.copy(self)
        alone.onset_rows, alone.has_onset_rolls = None, False
        alone._last, alone._criteria = None, {}
        return alone

    def _places(self, item, pitches, onsets):
        """One time axis for all items and pitches, more than a tolerance apart."""
        return (item * _PITCHES + pitches) * self._spacing + onsets

    @property
    def _spacing(self) -> float:
        """Longer than any onset in an item, by more than a tolerance."""
        return self.seconds + 2

    def _places_of(self, items: Sequence[Notes]) -> Float[np.ndarray, " n"]:
        places = [self._places(k, notes.pitches, notes.onsets) for k, notes in enumerate(items)]
        return np.concatenate(places)

    def scores(self, config: DecodingConfig) -> tuple[float, ...]:
        """Mean onset F1, mean frame F1, and with offsets mean onset+offset F1, as
        experiments.evaluation.note_scores defines them; NaN without a reference note."""
        if not self.num_items:
            return (np.nan,) * (2 + self.with_offsets)
        row, first, end, _ = self._segment(replace(config, onset_shift_seconds=0.0))
        onsets, offsets = shifted_intervals(row, first, end, config, self.grid).T
        frame_f1 = self._frame_f1(row, *note_frames(onsets, offsets, self.grid))
        inside = may_count(onsets, self.seconds)
        onset_f1, *others = self._note_f1(row[inside], onsets[inside], offsets[inside])
        return (onset_f1, frame_f1, *others)

    def _segment(self, config: DecodingConfig):
        """`segment`, the last one remembered: shifts do not change it."""
        if self._last is None or self._last[0] != config:
            self._last = config, segment(self.rows, config, self.onset_rows)
        return self._last[1]

    def _note_f1(self, row, onsets, offsets) -> list[float]:
        items = self.row_items[row]
        places = self._places(items, self.row_pitches[row], onsets)
        order = np.argsort(places)
        places = places[order]
        hits = [self._count(self.counted[matched_onsets(self.counted, places)])]
        possible = self.counted_or_carried_in
        num_excused = self._count(possible[matched_onsets(possible, places)]) - hits[0]
        num_estimates = np.bincount(items, minlength=self.num_items) - num_excused
        if self.with_offsets:
            lengths = np.maximum(np.minimum(offsets, self.seconds) - onsets, 0)[order]
            matched = matched_notes(self.counted, self.lengths, places, lengths)
            hits.append(self._count(self.counted[matched]))
        return [
            _mean_where(
                self.num_counted > 0,
                2 * num_hits / np.maximum(num_estimates + self.num_counted, 1),
            )
            for num_hits in hits
        ]

    def _count(self, places: Float[np.ndarray, " n"]) -> Int[np.ndarray, " i"]:
        """How many of the places are of each item."""
        items = (places // (self._spacing * _PITCHES)).astype(np.int64)
        return np.bincount(items, minlength=self.num_items)

    def _frame_f1(self, row, first, end) -> float:
        num_rows, num_frames = self.rows.shape
        steps = np.zeros((num_rows, num_frames + 1), np.int32)
        np.add.at(steps, (row, np.minimum(first, num_frames)), 1)
        np.add.at(steps, (row, np.minimum(end, num_frames)), -1)
        held = steps[:, :-1].cumsum(1) > 0
        num_hits, num_held = (
            np.bincount(self.row_items, frames.sum(1), minlength=self.num_items)
            for frames in (held & self.active_rows, held)
        )
        f1 = 2 * num_hits / np.maximum(num_held + self.num_active, 1)
        return _mean_where(self.num_active > 0, f1)

    def criterion(self, config: DecodingConfig) -> float:
        """Mean of the scores: none can be bought with another. A search comes by many decodings
        more than once, so they are remembered."""
        if config not in self._criteria:
            self._criteria[config] = float(np.mean(self.scores(config)))
        return self._criteria[config]


def search(
    task: DecodingTask,
    base: DecodingConfig | None = None,
    *,
    settings: Sequence[str] | None = None,
) -> DecodingConfig:
    """The decoding with the best criterion, found along one setting after the other, twice.

    A threshold takes the best candidate, the middle one of several; any other setting keeps its
    value unless another gains at least MIN_GAIN. With a roll of onsets there are two beginnings:
    the best decoding by the roll of what sounds alone, and the best by onsets alone; so joining
    both is no worse than either. Without a reference note `base` is returned.

    Args:
        task: what to score on.
        base: where to begin.
        settings: the fields that may change; None for all that have a meaning.
    """
    base = base or DecodingConfig()
    if not task.num_items:
        return base
    if not task.has_onset_rolls:
        return search_from(task, base, CANDIDATES if settings is None else settings)
    settings = (*ONSET_CANDIDATES, *CANDIDATES) if settings is None else settings
    of_frames = [name for name in settings if name in CANDIDATES]
    frames = search_from(task.without_onset_rolls(), base, of_frames)
    by_frames = replace(frames, **BY_FRAMES)
    others = [name for name in settings if name not in BY_ONSETS]
    by_onsets = search_from(task, replace(base, **BY_ONSETS), others)
    joined = [search_from(task, start, settings) for start in (by_frames, by_onsets)]
    return max(by_frames, by_onsets, *joined, key=task.criterion)


def search_from(
    task: DecodingTask, config: DecodingConfig, settings: Iterable[str]
) -> DecodingConfig:
    """The best decoding along one setting after the other, twice; `config` without a reference
    note."""
    if not task.num_items:
        return config
    candidates_of = CANDIDATES | ONSET_CANDIDATES
    for _ in range(2):
        before = config
        for name in settings:
            candidates = [replace(config, **{name: value}) for value in candidates_of[name]]
            criteria = np.array([task.criterion(candidate) for candidate in candidates])
            if name not in THRESHOLDS and criteria.max() < task.criterion(config) + MIN_GAIN:
                continue
            best = np.flatnonzero(criteria >= criteria.max() - 1e-9)
            config = candidates[best[len(best) // 2]]
        if config == before:
            break
    return config


def _stack(rolls, chosen) -> Float[np.ndarray, "i p t"]:
    return np.stack([rolls[k].T for k in chosen]).astype(np.float32)


def _mean_where(scored: Bool[np.ndarray, " i"], values: Float[np.ndarray, " i"]) -> float:
    """0 where nothing is scored."""
    return float(values[scored].mean()) if scored.any() else 0.0
