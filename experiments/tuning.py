"""Note thresholds of a finished run, chosen per instrument on validation excerpts.

They are written into the checkpoints, so that whoever loads a network has them; the weights stay as
they are.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from cerberus_jax import checkpoint
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.inference import Predictor
from data_pipeline.plan import Planner
from experiments import data
from experiments.config import load_run_config
from experiments.scoring import tune_thresholds

BATCH_SIZE = 8
VALIDATION_SPLIT = "validation"


def tune_run(workdir: str | Path) -> dict[str, dict[str, DecodingConfig]]:
    """Choose the thresholds of a run's best and last checkpoint and store them there.

    A network without a transcription head is left as it is.

    Args:
        workdir: the run's directory.

    Returns:
        the decoding of each instrument, by 'best' and 'last'.
    """
    config = load_run_config(workdir)
    if config.loss.transcription <= 0:
        return {}
    count = config.data.num_validation_excerpts
    planner = data.planner(
        config, VALIDATION_SPLIT, excerpt_seconds=config.evaluation.excerpt_seconds
    )
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
    """The decoding of each instrument with the best mean onset F1 on the first `count` excerpts.

    Args:
        predictor: the network; what its decoding says beside thresholds is kept.
        planner: plans validation excerpts.
        count: how many of them.
    """
    instruments = predictor.instruments
    excerpts = list(planner.excerpts(count))
    rolls = []
    for start in range(0, count, BATCH_SIZE):
        group = excerpts[start : start + BATCH_SIZE]
        mixtures = [excerpt.sources.sum(0) for excerpt in group]
        mixtures += mixtures[-1:] * (BATCH_SIZE - len(group))  # one compiled shape
        rolls += list(predictor.predict_batch(np.stack(mixtures))[1][: len(group)])
    references = [dict(zip(instruments, excerpt.notes, strict=True)) for excerpt in excerpts]
    return tune_thresholds(
        rolls, references, predictor.grid, instruments=instruments, bases=predictor.decoding
    )
