"""The best and the worst excerpts of an evaluation, heard anew by the networks of a report.

They are cut and separated anew from the data and the checkpoint: the same excerpts, since both are
functions of the config with which they were scored. Several networks hear the first one's excerpts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.decoding import frame_envelope, with_velocities
from cerberus_jax.heads import separates
from cerberus_jax.inference import Predictor
from cerberus_jax.metrics import si_sdr
from cerberus_jax.notes import Notes
from data_pipeline.planning.batch import Excerpt
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.loading import from_json
from experiments.training import data

METRIC = "si_sdr_improvement"


@dataclass(frozen=True)
class Take:
    """What one network makes of an excerpt."""

    sources: Float[np.ndarray, "s n"]
    notes: dict[str, Notes]
    improvement: float  # mean SI-SDR improvement over the instruments that sound, in dB


@dataclass(frozen=True)
class Listening:
    """One excerpt: where it stands among all, the truth, and the takes of the runs by name."""

    end: str  # best or worst
    excerpt: Excerpt
    seconds: float
    takes: dict[str, Take]


def choose(results: Mapping, count: int) -> list[tuple[int, str, float]]:
    """(index, 'best' or 'worst', score) of the `count` best and worst items."""
    scores = []
    for index, item in enumerate(results["items"]):
        values = [metrics.get(METRIC) for metrics in item["metrics"].values()]
        values = [value for value in values if value is not None]
        if values:
            scores.append((float(np.mean(values)), index))
    scores.sort(reverse=True)
    count = min(count, len(scores) // 2)
    ends = [("best", scores[:count]), ("worst", scores[::-1][:count])]
    return [(index, end, score) for end, chosen in ends for score, index in chosen]


def listen(
    workdirs: Mapping[str, Path], results: Mapping[str, Mapping], *, count: int
) -> tuple[list[Listening], list[str]]:
    """The `count` best and worst excerpts of the first run, as all runs hear them.

    Args:
        workdirs: the runs by name.
        results: their scores, by the same names; one that was not evaluated has none.
        count: how many of each end.

    Returns:
        the excerpts, and what is to be said of runs that are left out.

    Raises:
        FileNotFoundError: if a checkpoint or the data are not there.
        ValueError: if the first network makes no masks, or its results are not those of its config.
    """
    first = next(iter(workdirs))
    predictors = {
        name: Predictor.load(workdir, step=results[name]["step"] if name in results else "best")
        for name, workdir in workdirs.items()
    }
    lead = predictors[first]
    if not separates(lead.model.heads):
        raise ValueError("the network has no mask head, so there is nothing to listen to")
    unfit = {
        name
        for name, other in predictors.items()
        if not separates(other.model.heads)
        or other.instruments != lead.instruments
        or other.grid.sample_rate_hz != lead.grid.sample_rate_hz
    }
    config = from_json(json.dumps(results[first].get("config", {})), source="results.json")
    planner, _ = data.test_excerpts(config, results[first]["split"])
    chosen = []
    for index, end, _ in choose(results[first], count):
        excerpt = next(read_excerpts(planner, 1, first=index))
        if excerpt.id != results[first]["items"][index]["id"]:
            raise ValueError("results.json scores other excerpts than the config's; evaluate again")
        takes = {name: _take(own, excerpt) for name, own in predictors.items() if name not in unfit}
        seconds = excerpt.sources.shape[1] / lead.grid.sample_rate_hz
        chosen.append(Listening(end, excerpt, seconds, takes))
    left_out = [
        f"{name} cannot be heard beside {first}: it has no mask head, or other instruments or "
        "another sample rate"
        for name in sorted(unfit)
    ]
    return chosen, left_out


def _take(predictor: Predictor, excerpt: Excerpt) -> Take:
    mixture = excerpt.sources.sum(0)
    sources, rolls = predictor.predict_batch(mixture[None])
    notes = {}
    if rolls is not None:
        notes = predictor.decode(*(roll[0] for roll in rolls if roll is not None))
        rate, grid = predictor.grid.sample_rate_hz, predictor.grid
        for name, slot in zip(notes, predictor.model.transcribed_slots, strict=True):
            envelope = frame_envelope(sources[0, slot : slot + 1], rate, grid)
            notes[name] = with_velocities(notes[name], envelope, grid)
    sounding = np.abs(excerpt.sources).max(1) > 0
    true = excerpt.sources[sounding]
    before = si_sdr(np.broadcast_to(mixture, true.shape), true)
    improvement = np.asarray(si_sdr(sources[0][sounding], true)) - np.asarray(before)
    return Take(sources[0], notes, float(improvement.mean()) if sounding.any() else np.nan)
