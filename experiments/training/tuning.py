"""How the rolls of a finished run become notes, chosen per instrument on validation excerpts.

The criterion is the mean of onset F1, frame F1 and, where the ends of an instrument's notes mean
something, onset+offset F1. The settings are written into the checkpoints, so that whoever loads a
network has them; the weights stay as they are.
"""

from dataclasses import asdict
from pathlib import Path

from cerberus_jax import checkpoint
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from data_pipeline.planning.planner import Planner
from experiments.config.loading import heads_of, load_run_config
from experiments.evaluation.scoring import Reference
from experiments.training import data
from experiments.training.decoding_search import DecodingTask, search
from experiments.training.validation_scores import decoding_tasks_of, predicted


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
    heard = [
        ([Reference.of(excerpt, predictor.instruments).notes for excerpt in group], rolls)
        for group, _, rolls in predicted(predictor, planner, count)
    ]
    return decoding_tasks_of(predictor, heard, num_samples=planner.config.num_samples)
