"""From a config to its batches: which prepared data, which excerpts, which reader.

Training excerpts are mixed and scaled at random. Those that are scored, of whatever split, are
fixed, as loud as in their song, and from one song and moment wherever the config has such mixtures.
"""

import itertools
import logging
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.listed import ListedPlanner
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.numpy_reader import numpy_batches
from experiments.config.loading import grid_of
from experiments.training import embedded

TRAINING_SPLIT, VALIDATION_SPLIT = "train", "validation"


def data_root(config: ConfigDict) -> Path:
    """The prepared data of the config; the embedded MiniSlakh is made on first use."""
    return Path(config.data.root).expanduser() if config.data.root else embedded.root(config)


def planner(
    config: ConfigDict, split: str, *, excerpt_seconds: float = 0.0, training: bool = False
) -> Planner:
    """What each batch of `split` holds.

    Args:
        config: the run's config.
        split: 'train', 'validation', 'test' or another folder of the corpus.
        excerpt_seconds: 0 = the config's `excerpt_seconds`.
        training: draw other mixtures, gains and augmentations in every batch, to be trained on;
            otherwise excerpts are fixed, to be scored.
    """
    plan = _plan(config, split, excerpt_seconds or config.excerpt_seconds, training)
    return Planner(_catalogue(data_root(config)), plan)


def song_plan(config: ConfigDict, split: str) -> tuple[Catalogue, PlanConfig]:
    """What `whole_songs` takes; it does not matter whether excerpts can be drawn of them."""
    plan = _plan(config, split, config.excerpt_seconds, training=False)
    return _catalogue(data_root(config)), plan


def _plan(config, split, seconds, training) -> PlanConfig:
    data = config.data
    return PlanConfig(
        instruments=tuple(config.instruments),
        grid=grid_of(config),
        num_samples=round(seconds * config.audio.sample_rate_hz),
        batch_size=config.batch_size,
        seed=data.seed,
        coherent_probability=data.coherent_probability if training else held_out_coherence(config),
        gain_db=data.gain_db if training else 0.0,
        active_rms_db=data.active_rms_db,
        split=split,
        fixed=not training,
        corpora=tuple(data.corpora),
        augment_polarity=data.augment_polarity if training else 0.0,
        augment_semitones=data.augment_semitones if training else 0,
        augment_equaliser_db=data.augment_equaliser_db if training else 0.0,
        silence_probability=data.silence_probability if training else 0.0,
        rest_probability=data.rest_probability if training else 1.0,
    )


def test_excerpts(config: ConfigDict, split: str) -> tuple[Planner, int]:
    """The planner of the excerpts that evaluation scores, and how many there are.

    They are those of the list `evaluation.excerpts`; without one, the first
    `data.num_test_excerpts` that the plan draws.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if the list is of another split or other instruments, or does not fit the data.
    """
    path = config.evaluation.excerpts
    if not path:
        seconds = config.evaluation.excerpt_seconds
        return planner(config, split, excerpt_seconds=seconds), config.data.num_test_excerpts
    listed = ExcerptList.load(Path(path).expanduser())
    if listed.split != split:
        raise ValueError(
            f"evaluation.excerpts={path} holds excerpts of the split {listed.split!r}, "
            f"not of {split!r}"
        )
    if listed.instruments != tuple(config.instruments):
        raise ValueError(
            f"evaluation.excerpts={path} is a list of excerpts of "
            f"{', '.join(listed.instruments)}; the config has the instruments "
            f"{', '.join(config.instruments)}"
        )
    catalogue = _catalogue(data_root(config))
    listed_planner = ListedPlanner(catalogue, listed, grid_of(config), name=path)
    return listed_planner, len(listed_planner)


def held_out_coherence(config: ConfigDict) -> float:
    """Held-out mixtures are coherent wherever the config has coherent mixtures."""
    return 1.0 if config.data.coherent_probability > 0 else 0.0


def num_validation_batches(config: ConfigDict) -> int:
    """Batches that hold at least `data.num_validation_excerpts`."""
    return math.ceil(config.data.num_validation_excerpts / config.batch_size)


def validation_batches(config: ConfigDict, **process: int) -> list[dict]:
    """The fixed batches of every validation, this process's share of each."""
    count = num_validation_batches(config)
    return list(numpy_batches(planner(config, VALIDATION_SPLIT), num_steps=count, **process))


def tuning_planner(config: ConfigDict) -> Planner:
    """The validation excerpts that are scored in training, and on which note thresholds are chosen
    when a run ends: as long as those that evaluation scores, or where no song has any of that
    length, as those of training.

    Raises:
        ValueError: if there are none of either length.
    """
    seconds = config.evaluation.excerpt_seconds
    try:
        return planner(config, VALIDATION_SPLIT, excerpt_seconds=seconds)
    except ValueError as error:
        if seconds <= config.excerpt_seconds:
            raise
        logging.warning(
            "evaluation.excerpt_seconds=%g: %s. Note thresholds, and scores in training, are those "
            "of excerpts of %g s; evaluation needs a smaller value too if test songs are as short",
            seconds,
            error,
            config.excerpt_seconds,
        )
        return planner(config, VALIDATION_SPLIT)


def batches(
    config: ConfigDict,
    split: str,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[dict]:
    """The batches of `split` from `first_step` on, this process's share of each.

    Those of 'train' are drawn for training, those of other splits are fixed.

    The first is read with numpy, the others with tf.data, or with numpy where there is no
    TensorFlow: the bytes are the same. So a run can begin before TensorFlow, which takes seconds to
    import, is there.
    """
    plan = planner(config, split, training=split == TRAINING_SPLIT)
    process = {"process_index": process_index, "process_count": process_count}
    first = numpy_batches(plan, first_step=first_step, num_steps=1, **process)
    later = process | {"first_step": first_step + 1, "num_steps": num_steps and num_steps - 1}
    return itertools.islice(itertools.chain(first, _after_first(plan, config, later)), num_steps)


def excerpt_names(config: ConfigDict, k: int) -> list[str]:
    """The excerpts in the training batch of step k: songs, moments and stems."""
    return planner(config, TRAINING_SPLIT, training=True).batch(k).ids


def _after_first(plan, config, steps) -> Iterator[dict]:
    try:
        from data_pipeline.reading import tf_reader
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        logging.warning(
            "TensorFlow is not installed: batches are read with numpy, the same bytes by one thread"
        )
        yield from numpy_batches(plan, **steps)
    else:
        yield from tf_reader.batches(plan, num_threads=config.data.num_threads, **steps)


def describe(config: ConfigDict) -> str:
    """The prepared data in one line: where, which corpora, how many tracks per split."""
    catalogue = _catalogue(data_root(config))
    splits, counts = np.unique(catalogue.tables.track_splits, return_counts=True)
    tracks = ", ".join(f"{split} {n}" for split, n in zip(splits, counts, strict=True))
    return f"{catalogue.root} ({', '.join(catalogue.corpora)}); tracks: {tracks}"


@lru_cache(maxsize=4)
def _catalogue(root: Path) -> Catalogue:
    return Catalogue.load(root)
