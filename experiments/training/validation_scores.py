"""How well a network in training does: the scores of evaluation on a few validation excerpts.

Losses of different heads, weights or kinds cannot be compared; decibels and found notes can.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from cerberus_jax.metrics import si_sdr
from cerberus_jax.model import Cerberus
from cerberus_jax.steps import Rolls
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.loading import heads_of
from experiments.evaluation.scoring import Reference
from experiments.training import data
from experiments.training.decoding_search import DecodingTask
from experiments.training.one_run import SCORES

BATCH_SIZE = 8  # one shape for all that is predicted, here and in tuning: compiled once


class ValidationScores:
    """Scores networks on the first excerpts of a planner, which are read anew each time.

    Args:
        planner: plans validation excerpts.
        count: how many of them.
    """

    def __init__(self, planner: Planner, *, count: int):
        self.planner, self.count = planner, count
        self._of_mixtures = {}  # SI-SDR of each excerpt's mixture, which stays the same

    @classmethod
    def of(cls, configs: Sequence[ConfigDict]) -> "ValidationScores | None":
        """Those that the configs, of one run or of runs on the same data, ask for, if any.

        Raises:
            ValueError: if the data have no excerpts that can be scored, or tuned on.
        """
        if not any(has(heads_of(config)) for has in SCORES.values() for config in configs):
            return None
        planner, count = data.tuning_planner(configs[0]), configs[0].train.scored_excerpts
        return cls(planner, count=count) if count else None

    def __call__(
        self, model: Cerberus, params: dict, decoding: dict[str, DecodingConfig]
    ) -> dict[str, float]:
        """Means over instruments of the means over excerpts, as `experiments.evaluate` takes them.

        Without what the network has no head for, or no excerpt has.
        """
        predictor, improvements, heard = Predictor(model, params, decoding), [], []
        for group, sources, rolls in predicted(predictor, self.planner, self.count):
            references = [Reference.of(excerpt, predictor.instruments) for excerpt in group]
            if sources is not None:
                improvements += map(self._improvement, group, sources, references)
            heard.append(([reference.notes for reference in references], rolls))
        scores = {}
        if improvements and (found := _mean_over_instruments(improvements)) is not None:
            scores["si_sdr_improvement"] = found
        if transcribes(model.heads):
            tasks = decoding_tasks_of(predictor, heard, num_samples=self.planner.config.num_samples)
            f1 = [
                task.scores(decoding[name])[0]
                for name, task in tasks.items()
                if task.num_counted.any()  # as `evaluate` leaves out what no note counts of
            ]
            if f1:
                scores["onset_f1"] = float(np.mean(f1))
        return scores

    def _improvement(self, excerpt, sources, reference) -> Float[np.ndarray, " s"]:
        """SI-SDR improvement of each source in dB; NaN for a silent one."""
        if excerpt.id not in self._of_mixtures:
            self._of_mixtures[excerpt.id] = reference.mixture_si_sdr
        return np.asarray(si_sdr(sources, reference.sources)) - self._of_mixtures[excerpt.id]


def predicted(
    predictor: Predictor, planner: Planner, count: int
) -> Iterator[tuple[list[Excerpt], Float[np.ndarray, "b s n"] | None, Rolls | None]]:
    """The first `count` excerpts in groups, with what the network makes of their mixtures."""
    excerpts = read_excerpts(planner, count)
    for start in range(0, count, BATCH_SIZE):
        group = [next(excerpts) for _ in range(min(BATCH_SIZE, count - start))]
        mixtures = [excerpt.sources.sum(0) for excerpt in group]
        mixtures += mixtures[-1:] * (BATCH_SIZE - len(group))
        sources, rolls = predictor.predict_batch(np.stack(mixtures))
        if rolls is not None:
            rolls = Rolls(*(roll if roll is None else roll[: len(group)] for roll in rolls))
        yield group, None if sources is None else sources[: len(group)], rolls


def decoding_tasks_of(
    predictor: Predictor, heard: Sequence[tuple[list[dict], Rolls]], *, num_samples: int
) -> dict[str, DecodingTask]:
    """The network's rolls of excerpts with their notes, by instrument.

    Excerpts whose notes of an instrument are not known are left out of its task.

    Args:
        predictor: the network.
        heard: groups of excerpts: the notes of each by instrument, and the rolls.
        num_samples: the length of every excerpt.
    """
    references = [notes for group, _ in heard for notes in group]
    rolls = [roll for _, found in heard for roll in found.frames]
    with_onsets = heard[0][1].onsets is not None
    onset_rolls = [roll for _, found in heard for roll in found.onsets] if with_onsets else None
    tasks = {}
    for slot, name in enumerate(predictor.model.transcribed_instruments):
        labelled = [k for k, notes in enumerate(references) if name in notes]
        tasks[name] = DecodingTask(
            [rolls[k][slot] for k in labelled],
            [references[k][name] for k in labelled],
            predictor.grid,
            num_samples=num_samples,
            onset_rolls=[onset_rolls[k][slot] for k in labelled] if with_onsets else None,
            with_offsets=INSTRUMENTS[name].has_offsets,
        )
    return tasks


def _mean_over_instruments(items: Sequence[Float[np.ndarray, " s"]]) -> float | None:
    values = np.stack(items)
    is_scored = np.isfinite(values)
    sounding = is_scored.any(0)
    if not sounding.any():
        return None
    means = np.where(is_scored, values, 0).sum(0)[sounding] / is_scored.sum(0)[sounding]
    return float(means.mean())
