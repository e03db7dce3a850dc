"""The scores of one mixture and their means: separation, notes, frames.

What cannot be scored is None, never 0: a silent reference has no SI-SDR, one without notes no F1
(it gets `false_notes_per_minute` instead). Means are taken of the items' scores, Nones left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import mir_eval
import numpy as np
from jaxtyping import Bool, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.metrics import si_bss_eval, si_sdr
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.planning.rolls import note_frames
from experiments.evaluation.bootstrap import mean_intervals

SEPARATION_METRICS = ("si_sdr", "si_sir", "si_sar", "si_sdr_improvement")
NOTE_METRICS = tuple(
    f"{kind}_{part}"
    for kind in ("frame", "onset", "onset_offset")
    for part in ("precision", "recall", "f1")
)
METRICS = (*SEPARATION_METRICS, *NOTE_METRICS, "false_notes_per_minute")

ONSET_TOLERANCE_SECONDS = 0.05
OFFSET_RATIO = 0.2
MIN_INTERVAL_SECONDS = 1e-3
FRAME_VELOCITY_THRESHOLD = 30  # a reference frame counts above this velocity (the authors' habit)

Scores = dict[str, float | None]


@dataclass(frozen=True)
class Estimate:
    """What a network, or a baseline, says about one mixture; None for a head it does not have.

    Args:
        sources: one waveform per instrument, in the order of the reference.
        notes: notes by instrument.
    """

    sources: Float[np.ndarray, "s n"] | None = None
    notes: Mapping[str, Notes] | None = None


@dataclass(frozen=True)
class Reference:
    """The truth about one mixture, which is the sum of its sources.

    Args:
        sources: one waveform per instrument.
        notes: notes by instrument, in seconds from the first sample.
    """

    sources: Float[np.ndarray, "s n"]
    notes: Mapping[str, Notes]

    @cached_property
    def mixture_si_sdr(self) -> Float[np.ndarray, " s"]:
        """What the unprocessed mixture scores as an estimate of each source."""
        mixture = np.broadcast_to(self.sources.sum(0), self.sources.shape)
        return np.asarray(si_sdr(mixture, self.sources))


def score_item(
    estimate: Estimate, reference: Reference, *, instruments: Sequence[str], grid: FrameGrid
) -> dict[str, Scores]:
    """All scores of one mixture: {instrument: {metric: value or None}}.

    Raises:
        ValueError: if shapes do not fit or an estimate is not finite.
    """
    num_samples = reference.sources.shape[-1]
    separation = _score_separation(estimate, reference, instruments)
    scores = {}
    for name in instruments:
        scores[name] = separation[name] | dict.fromkeys(METRICS[len(SEPARATION_METRICS) :])
        if estimate.notes is not None:
            scores[name] |= score_notes(
                estimate.notes[name],
                reference.notes[name],
                grid=grid,
                num_samples=num_samples,
                with_offsets=INSTRUMENTS[name].has_offsets,
            )
    return scores


def score_notes(
    estimate: Notes,
    reference: Notes,
    *,
    grid: FrameGrid,
    num_samples: int,
    with_offsets: bool = True,
) -> Scores:
    """Frame, onset and onset-offset scores of one instrument, or its false notes per minute."""
    scores = dict.fromkeys((*NOTE_METRICS, "false_notes_per_minute"))
    if not len(reference):
        scores["false_notes_per_minute"] = len(estimate) * 60 * grid.sample_rate_hz / num_samples
        return scores
    scores |= _frame_scores(estimate, reference, grid, grid.num_frames(num_samples))
    scores |= _match_scores("onset", estimate, reference, offset_ratio=None)
    if with_offsets:
        scores |= _match_scores("onset_offset", estimate, reference, offset_ratio=OFFSET_RATIO)
    return scores


def activity(notes: Notes, grid: FrameGrid, num_frames: int) -> Bool[np.ndarray, "t p"]:
    """Which keys are held in which frames; unlike a training roll, repeats are not set apart."""
    first, end = note_frames(notes.onsets, notes.offsets, grid)
    keys = notes.pitches - LOWEST_PITCH
    kept = (keys >= 0) & (keys < NUM_PITCHES)
    steps = np.zeros((num_frames + 1, NUM_PITCHES), int)
    np.add.at(steps, (np.minimum(first, num_frames)[kept], keys[kept]), 1)
    np.add.at(steps, (np.minimum(end, num_frames)[kept], keys[kept]), -1)
    return steps.cumsum(0)[:-1] > 0


def summarise(items: Iterable[Mapping[str, Scores]], instruments: Sequence[str]) -> dict:
    """Means of the items' scores and their bootstrap intervals.

    Returns:
        `per_instrument` {instrument: {metric: mean}}, `mean` {metric: mean over the instruments},
        `num_items_per_instrument` {instrument: {metric: items that have it}} and `interval_95`,
        `per_instrument` and `mean` again with [low, high] in place of a mean; None without any.
    """
    values = np.array(
        [
            [[_number(item[name][metric]) for metric in METRICS] for name in instruments]
            for item in items
        ],
        np.float64,
    ).reshape(-1, len(instruments), len(METRICS))
    counts = np.isfinite(values).sum(0)
    means = np.nansum(values, 0) / np.where(counts, counts, np.nan)
    scored = np.isfinite(means).sum(0)
    mean = np.nansum(means, 0) / np.where(scored, scored, np.nan)
    intervals, mean_interval = mean_intervals(values)
    return {
        "per_instrument": _by_instrument(means, instruments),
        "mean": _by_metric(mean),
        "num_items_per_instrument": {
            name: dict(zip(METRICS, row.tolist(), strict=True))
            for name, row in zip(instruments, counts, strict=True)
        },
        "interval_95": {
            "per_instrument": _by_instrument(np.moveaxis(intervals, 0, -1), instruments),
            "mean": _by_metric(mean_interval.T),
        },
    }


def _by_instrument(values, instruments) -> dict:
    return {name: _by_metric(row) for name, row in zip(instruments, values, strict=True)}


def _by_metric(values) -> dict:
    """{metric: value, or [low, high]}, None for NaN."""
    return {
        metric: None if np.isnan(value).any() else value.tolist()
        for metric, value in zip(METRICS, values, strict=True)
    }


def _number(score: float | None) -> float:
    return np.nan if score is None else score


def _score_separation(estimate, reference, instruments) -> dict[str, Scores]:
    if estimate.sources is None:
        return {name: dict.fromkeys(SEPARATION_METRICS) for name in instruments}
    expected = (len(instruments), reference.sources.shape[-1])
    for what, sources in (("estimate", estimate.sources), ("reference", reference.sources)):
        if sources.shape != expected:
            raise ValueError(
                f"score_item: the {what}'s sources must have the shape [instruments, samples] = "
                f"{list(expected)}, got {list(sources.shape)}"
            )
        if not np.isfinite(sources).all():
            raise ValueError(f"score_item: the {what}'s sources hold NaN or infinity")
    parts = [np.asarray(part) for part in si_bss_eval(estimate.sources, reference.sources)]
    improvement = parts[0] - reference.mixture_si_sdr
    return {
        name: {
            metric: None if np.isnan(values[slot]) else float(values[slot])
            for metric, values in zip(SEPARATION_METRICS, [*parts, improvement], strict=True)
        }
        for slot, name in enumerate(instruments)
    }


def _match_scores(kind: str, estimate: Notes, reference: Notes, *, offset_ratio) -> Scores:
    precision, recall, f1 = 0.0, 0.0, 0.0
    if len(estimate):  # mir_eval would warn
        precision, recall, f1, _ = mir_eval.transcription.precision_recall_f1_overlap(
            *_for_mir_eval(reference),
            *_for_mir_eval(estimate),
            onset_tolerance=ONSET_TOLERANCE_SECONDS,
            offset_ratio=offset_ratio,
            offset_min_tolerance=ONSET_TOLERANCE_SECONDS,
        )
    return {
        f"{kind}_precision": float(precision),
        f"{kind}_recall": float(recall),
        f"{kind}_f1": float(f1),
    }


def _for_mir_eval(notes: Notes):
    """Intervals of at least 1 ms, and pitches in Hz."""
    intervals = notes.intervals.copy()
    intervals[:, 1] = np.maximum(intervals[:, 1], intervals[:, 0] + MIN_INTERVAL_SECONDS)
    return intervals, mir_eval.util.midi_to_hz(notes.pitches)


def _frame_scores(estimate: Notes, reference: Notes, grid: FrameGrid, num_frames: int) -> Scores:
    heard = reference.select(reference.velocities > FRAME_VELOCITY_THRESHOLD)
    wanted, found = activity(heard, grid, num_frames), activity(estimate, grid, num_frames)
    if not wanted.any():
        return {}
    hits = np.count_nonzero(wanted & found)
    precision, recall = hits / max(np.count_nonzero(found), 1), hits / np.count_nonzero(wanted)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"frame_precision": precision, "frame_recall": recall, "frame_f1": f1}
