"""The best decoding of one instrument's rolls: a search along one setting after the other.

A decoding is scored in milliseconds: all items are segmented at once, keys that never reach the
lowest threshold are left out, and onsets are matched in one walk along the time axis, which for
equal tolerances finds as many pairs as mir_eval's bipartite matching.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from cerberus_jax.decoding import DecodingConfig, segment, shifted_intervals
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, Notes
from data_pipeline.planning.rolls import note_frames
from experiments.evaluation.scoring import (
    FRAME_VELOCITY_THRESHOLD,
    ONSET_TOLERANCE_SECONDS,
    activity,
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
_DECIMALS = 4  # mir_eval compares times rounded to these
_PITCHES = 128


class DecodingTask:
    """Rolls and reference notes of one instrument, ready to score any decoding.

    Args:
        rolls: probabilities of each item, all of one shape.
        references: its notes; items without notes are left out.
        grid: the frames of the rolls.
    """

    def __init__(
        self,
        rolls: Sequence[Float[np.ndarray, "t p"]],
        references: Sequence[Notes],
        grid: FrameGrid,
    ):
        pairs = [(r, n) for r, n in zip(rolls, references, strict=True) if len(n)]
        self.grid, self.num_items = grid, len(pairs)
        if not pairs:
            return
        stacked = np.stack([roll.T for roll, _ in pairs]).astype(np.float32)
        item, key = np.nonzero(stacked.max(-1) >= min(CANDIDATES["threshold"]))
        self.rows, self.row_items, self.row_pitches = stacked[item, key], item, key + LOWEST_PITCH
        num_frames = stacked.shape[-1]
        wanted = np.stack(
            [
                activity(n.select(n.velocities > FRAME_VELOCITY_THRESHOLD), grid, num_frames).T
                for _, n in pairs
            ]
        )
        self.wanted_rows = wanted[item, key]
        self.num_wanted = wanted.sum((1, 2))
        self.num_notes = np.array([len(notes) for _, notes in pairs])
        self.seconds = max(num_frames / grid.frame_rate_hz, *(n.onsets.max() for _, n in pairs)) + 2
        self.onsets = np.sort(
            np.concatenate([self._places(k, n.pitches, n.onsets) for k, (_, n) in enumerate(pairs)])
        )

    def _places(self, item, pitches, onsets):
        """One time axis for all items and pitches, more than a tolerance apart."""
        return (item * _PITCHES + pitches) * self.seconds + onsets

    def scores(self, config: DecodingConfig) -> tuple[float, float]:
        """Mean onset F1 and mean frame F1, as experiments.evaluation.scoring defines them."""
        row, first, end, _ = segment(self.rows, config)
        onsets, offsets = shifted_intervals(row, first, end, config, self.grid).T
        items = self.row_items[row]
        places = np.sort(self._places(items, self.row_pitches[row], onsets))
        matched = _matched(self.onsets, places) // (self.seconds * _PITCHES)
        hits = np.bincount(matched.astype(np.int64), minlength=self.num_items)
        found = np.bincount(items, minlength=self.num_items)
        onset_f1 = 2 * hits / np.maximum(found + self.num_notes, 1)
        return float(onset_f1.mean()), self._frame_f1(row, *note_frames(onsets, offsets, self.grid))

    def _frame_f1(self, row, first, end) -> float:
        num_rows, num_frames = self.rows.shape
        steps = np.zeros((num_rows, num_frames + 1), np.int32)
        np.add.at(steps, (row, np.minimum(first, num_frames)), 1)
        np.add.at(steps, (row, np.minimum(end, num_frames)), -1)
        held = steps[:, :-1].cumsum(1) > 0
        hits, found = (
            np.bincount(self.row_items, cells.sum(1), minlength=self.num_items)
            for cells in (held & self.wanted_rows, held)
        )
        scored = self.num_wanted > 0
        f1 = 2 * hits / np.maximum(found + self.num_wanted, 1)
        return float(f1[scored].mean()) if scored.any() else 0.0

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
            found = np.array([task.criterion(candidate) for candidate in candidates])
            if name != "threshold" and found.max() < task.criterion(config) + MIN_GAIN:
                continue
            best = np.flatnonzero(found >= found.max() - 1e-9)
            config = candidates[best[len(best) // 2]]
        if config == before:
            break
    return config


def _matched(reference: Float[np.ndarray, " n"], estimate: Float[np.ndarray, " m"]) -> np.ndarray:
    """The references that have a partner of their own within the tolerance; both are sorted."""
    matched, j = [], 0
    estimates = estimate.tolist()
    for place in reference.tolist():
        while (
            j < len(estimates) and round(place - estimates[j], _DECIMALS) > ONSET_TOLERANCE_SECONDS
        ):
            j += 1
        if j < len(estimates) and round(estimates[j] - place, _DECIMALS) <= ONSET_TOLERANCE_SECONDS:
            matched.append(place)
            j += 1
    return np.array(matched)
