"""How the rolls of a finished run become notes, chosen per instrument on validation excerpts.

The criterion is the mean of onset F1, frame F1 and, where the ends of an instrument's notes mean
something, onset+offset F1. The settings are written into the checkpoints, so that whoever loads a
network has them; the weights stay as they are.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from cerberus_jax import checkpoint
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.loading import heads_of, load_run_config
from experiments.evaluation.scoring import Reference
from experiments.training import data
from experiments.training.decoding_search import DecodingTask, search

BATCH_SIZE = 8


def tune_run(workdir: str | Path) -> dict[str, dict[str, DecodingConfig]]:
    """Choose the decoding of a run's best and last checkpoint and store it there.

    A network without a transcription head is left as it is.

    Args:
        workdir: the run's directory.

    Returns:
        the decoding of each instrument, by 'best' and 'last'.
    """
    config = load_run_config(workdir)
    if not transcribes(heads_of(config)):
        return {}
    count = config.data.num_validation_excerpts
    planner = data.tuning_planner(config)
    tuned, of_step = {}, {}
    for kind, step in checkpoint.saved_steps(workdir).items():
        if step not in of_step:
            predictor = Predictor.load(workdir, step=kind)
            of_step[step] = tune_decoding(predictor, planner, count=count)
        tuned[kind] = of_step[step]
        values = {name: asdict(decoding) for name, decoding in tuned[kind].items()}
        checkpoint.store_decoding(checkpoint.locate(workdir, kind), values)
    return tuned


def tune_decoding(
    predictor: Predictor, planner: Planner, *, count: int
) -> dict[str, DecodingConfig]:
    """The decoding of each transcribed instrument with the best criterion.

    Args:
        predictor: the network; the search begins at its decoding.
        planner: plans validation excerpts.
        count: how many of them, from the first.
    """
    tasks = decoding_tasks(predictor, planner, count=count)
    return {name: search(task, predictor.decoding[name]) for name, task in tasks.items()}


def decoding_tasks(
    predictor: Predictor, planner: Planner, *, count: int
) -> dict[str, DecodingTask]:
    """The network's rolls of the first `count` excerpts with their notes, by instrument.

    Excerpts whose notes of an instrument are not known are left out of its task.
    """
    excerpts = list(read_excerpts(planner, count))
    rolls, onset_rolls = [], []
    for start in range(0, count, BATCH_SIZE):
        group = excerpts[start : start + BATCH_SIZE]
        mixtures = [excerpt.sources.sum(0) for excerpt in group]
        mixtures += mixtures[-1:] * (BATCH_SIZE - len(group))  # one compiled shape
        found = predictor.predict_batch(np.stack(mixtures))[1]
        rolls += list(found.frames[: len(group)])
        onset_rolls += [] if found.onsets is None else list(found.onsets[: len(group)])
    references = [Reference.of(excerpt, predictor.instruments).notes for excerpt in excerpts]
    tasks = {}
    for slot, name in enumerate(predictor.model.transcribed_instruments):
        labelled = [k for k, notes in enumerate(references) if name in notes]
        tasks[name] = DecodingTask(
            [rolls[k][slot] for k in labelled],
            [references[k][name] for k in labelled],
            predictor.grid,
            num_samples=planner.config.num_samples,
            onset_rolls=[onset_rolls[k][slot] for k in labelled] if onset_rolls else None,
            with_offsets=INSTRUMENTS[name].has_offsets,
        )
    return tasks
