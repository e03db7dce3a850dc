"""The scores of one mixture and their means: separation, notes, frames.

What cannot be scored is None, never 0: a silent reference has no SI-SDR, one without notes no F1
(it gets `false_notes_per_minute` instead). Means are taken of the items' scores, Nones left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mir_eval
import numpy as np
from jaxtyping import Bool, Float

from cerberus_jax.decoding import DecodingConfig, decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.metrics import si_bss_eval, si_sdr
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from data_pipeline.transforms import note_frames

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
WITHOUT_OFFSETS = ("drums",)
THRESHOLD_GRID = tuple(np.round(np.arange(0.1, 0.91, 0.05), 2).tolist())

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
                with_offsets=name not in WITHOUT_OFFSETS,
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
    """Means of the items' scores.

    Returns:
        `per_instrument` {instrument: {metric: mean}}, `mean` {metric: mean over the instruments}
        and `num_items_per_instrument` {instrument: {metric: items that have it}}; None without any.
    """
    items = list(items)
    per_instrument, counts = {}, {}
    for name in instruments:
        values = {
            metric: [item[name][metric] for item in items if item[name][metric] is not None]
            for metric in METRICS
        }
        per_instrument[name] = {metric: _mean(found) for metric, found in values.items()}
        counts[name] = {metric: len(found) for metric, found in values.items()}
    mean = {
        metric: _mean(
            [
                per_instrument[name][metric]
                for name in instruments
                if per_instrument[name][metric] is not None
            ]
        )
        for metric in METRICS
    }
    return {"per_instrument": per_instrument, "mean": mean, "num_items_per_instrument": counts}


def tune_thresholds(
    rolls: Sequence[Float[np.ndarray, "s t p"]],
    references: Sequence[Mapping[str, Notes]],
    grid: FrameGrid,
    *,
    instruments: Sequence[str],
    bases: Mapping[str, DecodingConfig] | None = None,
    thresholds: Sequence[float] = THRESHOLD_GRID,
) -> dict[str, DecodingConfig]:
    """The threshold per instrument with the best mean onset F1 on validation items.

    Where several are equally good the middle one is taken; an instrument without a reference note
    keeps the base's threshold.

    Args:
        rolls: roll probabilities of each item.
        references: notes of each item by instrument.
        grid: the frames of the rolls.
        instruments: in the order of the rolls.
        bases: everything but the threshold, by instrument; None for the defaults.
        thresholds: the candidates.
    """
    if len(rolls) != len(references):
        raise ValueError(
            f"tune_thresholds: {len(rolls)} rolls do not fit {len(references)} references"
        )
    tuned = {}
    for slot, name in enumerate(instruments):
        base = (bases or {}).get(name, DecodingConfig())
        pairs = [
            (roll[slot], notes[name])
            for roll, notes in zip(rolls, references, strict=True)
            if len(notes[name])
        ]
        candidates = [replace(base, threshold=float(value)) for value in thresholds]
        scores = [_mean_onset_f1(pairs, grid, config) for config in candidates]
        best = np.flatnonzero(np.array(scores) >= max(scores) - 1e-9)
        tuned[name] = candidates[best[len(best) // 2]] if pairs else base
    return tuned


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


def _mean_onset_f1(pairs, grid: FrameGrid, config: DecodingConfig) -> float:
    scores = [
        _match_scores("onset", decode(roll, grid, config=config), notes, offset_ratio=None)
        for roll, notes in pairs
    ]
    return _mean([score["onset_f1"] for score in scores]) or 0.0


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
