"""The best decoding of one instrument's rolls: a search along one setting after the other.

A decoding is scored in milliseconds: all items are segmented at once, keys that never reach the
lowest threshold are left out, and onsets are matched in one walk along the time axis, which for
equal tolerances finds as many pairs as mir_eval's bipartite matching. Which notes count at the
borders of an item is what `experiments.evaluation.note_scores` says.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from cerberus_jax.decoding import DecodingConfig, segment, shifted_intervals
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, Notes
from data_pipeline.planning.rolls import note_frames
from experiments.evaluation.note_scores import (
    FRAME_VELOCITY_THRESHOLD,
    ONSET_TOLERANCE_SECONDS,
    TIME_DECIMALS,
    activity,
    may_count,
    split_at_borders,
)

# Searched in this order, twice.
CANDIDATES = {
    "threshold": tuple(np.round(np.arange(0.1, 0.91, 0.05), 2).tolist()),
    "dip": (0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
    "hysteresis": (0.4, 0.55, 0.7, 0.85, 1.0),
    "min_frames": (1, 2, 3, 4),
    "max_gap_frames": (0, 1, 2, 3),
    "onset_shift_seconds": (-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03),
}
MIN_GAIN = 0.002  # a setting is changed for no less: smaller differences are chance
_PITCHES = 128


class DecodingTask:
    """Rolls and reference notes of one instrument, ready to score any decoding.

    Args:
        rolls: probabilities of each item, all of one shape.
        references: its notes, in seconds from its first sample; items without notes are left out.
        grid: the frames of the rolls.
        num_samples: length of every item.
    """

    def __init__(
        self,
        rolls: Sequence[Float[np.ndarray, "t p"]],
        references: Sequence[Notes],
        grid: FrameGrid,
        *,
        num_samples: int,
    ):
        pairs = [(r, n) for r, n in zip(rolls, references, strict=True) if len(n)]
        self.grid, self.num_items = grid, len(pairs)
        self.seconds = num_samples / grid.sample_rate_hz
        if not pairs:
            return
        stacked = np.stack([roll.T for roll, _ in pairs]).astype(np.float32)
        item, key = np.nonzero(stacked.max(-1) >= min(CANDIDATES["threshold"]))
        self.rows, self.row_items, self.row_pitches = stacked[item, key], item, key + LOWEST_PITCH
        num_frames = stacked.shape[-1]
        active = np.stack(
            [
                activity(n.select(n.velocities > FRAME_VELOCITY_THRESHOLD), grid, num_frames).T
                for _, n in pairs
            ]
        )
        self.active_rows = active[item, key]
        self.num_active = active.sum((1, 2))
        counted, carried_in = zip(
            *(split_at_borders(notes, self.seconds) for _, notes in pairs), strict=True
        )
        self.num_counted = np.array([len(notes) for notes in counted])
        self.counted = self._places_of(counted)
        self.counted_or_carried_in = np.sort(
            np.concatenate([self.counted, self._places_of(carried_in)])
        )

    def _places(self, item, pitches, onsets):
        """One time axis for all items and pitches, more than a tolerance apart."""
        return (item * _PITCHES + pitches) * self._spacing + onsets

    @property
    def _spacing(self) -> float:
        """Longer than any onset in an item, by more than a tolerance."""
        return self.seconds + 2

    def _places_of(self, items: Sequence[Notes]) -> Float[np.ndarray, " n"]:
        places = [self._places(k, notes.pitches, notes.onsets) for k, notes in enumerate(items)]
        return np.sort(np.concatenate(places))

    def scores(self, config: DecodingConfig) -> tuple[float, float]:
        """Mean onset F1 and mean frame F1, as experiments.evaluation.note_scores defines them."""
        row, first, end, _ = segment(self.rows, config)
        onsets, offsets = shifted_intervals(row, first, end, config, self.grid).T
        frame_f1 = self._frame_f1(row, *note_frames(onsets, offsets, self.grid))
        inside = may_count(onsets, self.seconds)
        return self._onset_f1(row[inside], onsets[inside]), frame_f1

    def _onset_f1(self, row, onsets) -> float:
        items = self.row_items[row]
        places = np.sort(self._places(items, self.row_pitches[row], onsets))
        num_hits = self._num_matched(self.counted, places)
        num_excused = self._num_matched(self.counted_or_carried_in, places) - num_hits
        num_estimates = np.bincount(items, minlength=self.num_items) - num_excused
        f1 = 2 * num_hits / np.maximum(num_estimates + self.num_counted, 1)
        return _mean_where(self.num_counted > 0, f1)

    def _num_matched(self, references, estimates) -> Int[np.ndarray, " i"]:
        matched = _matched(references, estimates) // (self._spacing * _PITCHES)
        return np.bincount(matched.astype(np.int64), minlength=self.num_items)

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
        """Mean of onset F1 and frame F1: neither can be bought with the other."""
        return float(np.mean(self.scores(config)))


def search(
    task: DecodingTask,
    base: DecodingConfig | None = None,
    *,
    settings: Sequence[str] = tuple(CANDIDATES),
) -> DecodingConfig:
    """The decoding with the best criterion, found along one setting after the other, twice.

    The threshold takes the best candidate, the middle one of several; any other setting keeps its
    value unless another gains at least MIN_GAIN. Without a reference note `base` is returned.

    Args:
        task: what to score on.
        base: where to begin.
        settings: the fields that may change.
    """
    config = base or DecodingConfig()
    if not task.num_items:
        return config
    for _ in range(2):
        before = config
        for name in settings:
            candidates = [replace(config, **{name: value}) for value in CANDIDATES[name]]
            criteria = np.array([task.criterion(candidate) for candidate in candidates])
            if name != "threshold" and criteria.max() < task.criterion(config) + MIN_GAIN:
                continue
            best = np.flatnonzero(criteria >= criteria.max() - 1e-9)
            config = candidates[best[len(best) // 2]]
        if config == before:
            break
    return config


def _matched(references: Float[np.ndarray, " n"], estimates: Float[np.ndarray, " m"]) -> np.ndarray:
    """The references that have a partner of their own within the tolerance; both are sorted."""
    matched, j, places = [], 0, estimates.tolist()
    for place in references.tolist():
        while j < len(places) and round(place - places[j], TIME_DECIMALS) > ONSET_TOLERANCE_SECONDS:
            j += 1
        if j < len(places) and round(places[j] - place, TIME_DECIMALS) <= ONSET_TOLERANCE_SECONDS:
            matched.append(place)
            j += 1
    return np.array(matched)


def _mean_where(scored: Bool[np.ndarray, " i"], values: Float[np.ndarray, " i"]) -> float:
    """0 where nothing is scored."""
    return float(values[scored].mean()) if scored.any() else 0.0
