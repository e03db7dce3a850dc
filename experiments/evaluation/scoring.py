"""The scores of one mixture and their means: separation, notes, frames.

What cannot be scored is None, never 0: a silent source has no SI-SDR, one without notes no F1 (it
gets `false_notes_per_minute` instead); one without labels, or of an instrument that is not
transcribed, has no note scores at all. Means are taken of the items' scores, Nones left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.metrics import si_bss_eval, si_sdr
from cerberus_jax.notes import Notes
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.planning.batch import Excerpt
from experiments.evaluation.bootstrap import mean_intervals
from experiments.evaluation.note_scores import FALSE_NOTES, NOTE_METRICS, Scores, score_notes

SEPARATION_METRICS = ("si_sdr", "si_sir", "si_sar", "si_sdr_improvement")
METRICS = (*SEPARATION_METRICS, *NOTE_METRICS, FALSE_NOTES)


@dataclass(frozen=True)
class Estimate:
    """What a network, or a baseline, says about one mixture; None for a head it does not have.

    Args:
        sources: one waveform per instrument, in the order of the reference.
        notes: notes by instrument, of those that are transcribed; one that is left out is not
            scored.
        absent: the instruments of which there is no waveform; their row is zero, and not scored.
    """

    sources: Float[np.ndarray, "s n"] | None = None
    notes: Mapping[str, Notes] | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """The truth about one mixture, which is the sum of its sources.

    Args:
        sources: one waveform per instrument.
        notes: notes by instrument, in seconds from the first sample; one that began before it has
            a negative onset. Instruments that are left out have no note scores.
    """

    sources: Float[np.ndarray, "s n"]
    notes: Mapping[str, Notes]

    @classmethod
    def of(cls, excerpt: Excerpt, instruments: Sequence[str]) -> "Reference":
        """The truth about an excerpt, whose sources are of these instruments."""
        slots = zip(instruments, excerpt.notes, excerpt.labelled, strict=True)
        return cls(
            excerpt.sources, of_transcribed({n: notes for n, notes, known in slots if known})
        )

    @cached_property
    def mixture_si_sdr(self) -> Float[np.ndarray, " s"]:
        """What the unprocessed mixture scores as an estimate of each source."""
        mixture = np.broadcast_to(self.sources.sum(0), self.sources.shape)
        return np.asarray(si_sdr(mixture, self.sources))


def of_transcribed(notes: Mapping[str, Notes]) -> dict[str, Notes]:
    """Without the instruments that have no notes to be found, such as vocals."""
    return {name: own for name, own in notes.items() if INSTRUMENTS[name].is_transcribed}


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
        if name in (estimate.notes or ()) and name in reference.notes:
            scores[name] |= score_notes(
                estimate.notes[name],
                reference.notes[name],
                grid=grid,
                num_samples=num_samples,
                with_offsets=INSTRUMENTS[name].has_offsets,
            )
    return scores


def summarise(
    items: Sequence[Mapping[str, Scores]],
    instruments: Sequence[str],
    *,
    songs: Sequence[str] | None = None,
) -> dict:
    """Means of the items' scores and their bootstrap intervals.

    Args:
        items: scores by instrument and metric.
        instruments: those that are summarised.
        songs: the song of each item; None: no two are of one song.

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
    songs = [str(k) for k in range(len(values))] if songs is None else songs
    intervals, mean_interval = mean_intervals(values, songs)
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
    ratios = [np.asarray(ratio) for ratio in si_bss_eval(estimate.sources, reference.sources)]
    improvement = ratios[0] - reference.mixture_si_sdr
    return {
        name: {
            metric: None
            if name in estimate.absent or np.isnan(values[slot])
            else float(values[slot])
            for metric, values in zip(SEPARATION_METRICS, [*ratios, improvement], strict=True)
        }
        for slot, name in enumerate(instruments)
    }
