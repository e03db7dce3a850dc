"""What comes out of a sweep: a row for each network, which may have several seeds, with intervals,
and the differences between rows.

Intervals are of the mean over the instruments: seeds are drawn, then songs, each with all its
excerpts. Differences are paired: the same seeds and songs are drawn for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from cerberus_jax.heads import HEADS, transcribes
from experiments.config.loading import flatten, heads_of
from experiments.evaluation.bootstrap import interval_95, resampled_means, song_of
from experiments.evaluation.result_table import COLUMNS
from experiments.sweeps.points import JOINT

SEEDS = "all seeds"  # the name of a row whose points have no other part in common
METRICS = tuple(metric for _, metrics, _ in COLUMNS for metric in metrics)


class Outcome(NamedTuple):
    """What came out of a point: its results, or why it is set apart."""

    name: str
    config: ConfigDict
    results: dict | None
    apart: str = ""


@dataclass(frozen=True)
class Row:
    """The points that differ in nothing but their seed; those that were set apart are left out.

    Args:
        name: what their names have in common.
        config: of the first.
        outcomes: with results, in the order of the sweep.
    """

    name: str
    config: ConfigDict
    outcomes: tuple[Outcome, ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """Of the network."""
        return heads_of(self.config)

    @property
    def gives_stems(self) -> bool:
        """Whether the network separates, be it by clusters."""
        return any(HEADS[name].gives in ("masks", "clusters") for name in self.heads)

    @property
    def is_oracle(self) -> bool:
        """Whether the reference says which cluster is which instrument."""
        return any(own.results.get("assignment") == "oracle" for own in self.outcomes)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the points."""
        return tuple(own.config.seed for own in self.outcomes)

    @cached_property
    def mean(self) -> dict[str, float | None]:
        """By metric, over the seeds; None where the head is absent, or nothing is scored."""
        means = {}
        for metric in METRICS:
            has_head = self.gives_stems if metric.startswith("si_") else transcribes(self.heads)
            values = [own.results["mean"].get(metric) for own in self.outcomes] if has_head else []
            values = [value for value in values if value is not None]
            means[metric] = sum(values) / len(values) if values else None
        return means

    @cached_property
    def interval(self) -> dict[str, list[float] | None]:
        """By metric, [low, high]."""
        return _intervals(self._resamples(self.seeds), self.mean)

    def minus(self, other: "Row") -> tuple[dict[str, float], dict[str, list[float] | None]] | None:
        """Differences of the means by metric, and their intervals, over the seeds that both have;
        None where they were not scored on the same excerpts."""
        seeds = tuple(seed for seed in self.seeds if seed in other.seeds)
        if not seeds or not self._ids or self._ids != other._ids:
            return None
        means = [row._mean_of(seeds) for row in (self, other)]
        common = {
            metric: means[0][metric] - means[1][metric]
            for metric in METRICS
            if self.mean[metric] is not None and other.mean[metric] is not None
        }
        differences = self._resamples(seeds) - other._resamples(seeds)
        return common, _intervals(differences, common)

    @property
    def _ids(self):
        return [item["id"] for item in self.outcomes[0].results.get("items", ())]

    def _mean_of(self, seeds):
        chosen = tuple(own for own in self.outcomes if own.config.seed in seeds)
        return Row(self.name, self.config, chosen).mean

    def _resamples(self, seeds) -> Float[np.ndarray, "r m"]:
        if not self._ids:
            return np.full((1, len(METRICS)), np.nan)
        chosen = [own for own in self.outcomes if own.config.seed in seeds]
        values = np.stack([_scores(own.results) for own in chosen])
        return resampled_means(values, [song_of(id_) for id_ in self._ids])


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    """The rows, in the order of their first points."""
    found = {}
    for own in outcomes:
        if own.results:
            key = tuple((k, v) for k, v in flatten(own.config).items() if k != "seed")
            found.setdefault(key, []).append(own)
    return [
        Row(_common_name([own.name for own in points]) or SEEDS, points[0].config, tuple(points))
        for points in found.values()
    ]


def _common_name(names):
    """The parts that all names have in common, each in its place; '' where there are none."""
    places = zip(*(name.split(JOINT) for name in names), strict=False)
    return JOINT.join(own for own, *others in places if all(own == other for other in others))


def _scores(results) -> Float[np.ndarray, "i s m"]:
    """Of the items, by instrument and metric; NaN where there is none."""
    rows = [
        [
            [item["metrics"][name].get(metric) for metric in METRICS]
            for name in results["instruments"]
        ]
        for item in results["items"]
    ]
    return np.array(rows, np.float64)


def _intervals(resamples, known) -> dict[str, list[float] | None]:
    ends = interval_95(resamples).T
    return {
        metric: None if known.get(metric) is None or np.isnan(own).any() else own.tolist()
        for metric, own in zip(METRICS, ends, strict=True)
    }
