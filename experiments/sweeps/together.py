"""Which points of a sweep train together, how, and how many at once."""

import itertools
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import jax
from ml_collections import ConfigDict

from cerberus_jax.checkpoint import saved_steps
from cerberus_jax.heads import HEADS
from cerberus_jax.parallel import make_mesh
from cerberus_jax.together import OPTIMIZER_ARRAYS
from data_pipeline.io.processes import num_processors
from experiments import train
from experiments.config.loading import flatten, save_config
from experiments.config.resume import keep_fingerprints
from experiments.sweeps.diverged import set_apart
from experiments.sweeps.points import Point
from experiments.training import data, embedded
from experiments.training.mirrors import check_mirrors
from experiments.training.one_run import Run
from experiments.training.sessions import keep_session
from experiments.training.steppers import InTurn, Stacked
from experiments.training.task import config_of_all, num_parameters
from experiments.training.validation_scores import ValidationScores
from experiments.training.warm_start import warm_start

WAYS = ("auto", "turn", "stacked")
CPU_SHARE, DEVICE_SHARE = 0.5, 0.9  # of all memory, for the points that train at once
# Parameters, two moments and perhaps an average; beside them what is being saved.
CPU_ARRAYS_PER_PARAMETER = 8
_MAY_DIFFER = {
    "seed",
    "decoding.threshold",
    *(f"loss.{name}" for name in HEADS),
    *(f"optimizer.{name}" for name in (*OPTIMIZER_ARRAYS, "plateau_factor", "plateau_patience")),
}


def groups(points: Sequence[Point]) -> list[list[Point]]:
    """The points that may train on the same batches, group by group, in the order of the sweep."""
    found = {}
    for name, config in points:
        shared = tuple((k, v) for k, v in flatten(config).items() if k not in _MAY_DIFFER)
        found.setdefault(shared, []).append((name, config))
    return list(found.values())


def chunks(group: Sequence[Point], size: int) -> list[list[Point]]:
    """The group in parts of at most `size` points, as alike in number as can be."""
    count = -(-len(group) // max(size, 1))
    bounds = [round(len(group) * number / count) for number in range(count + 1)]
    return [list(group[first:end]) for first, end in itertools.pairwise(bounds)]


def is_stacked(way: str) -> bool:
    """Whether points are stacked in one program: where nothing else was asked for, on all devices
    but CPUs, where a mapped step was measured to take 2.2 times as long as its points in turn."""
    return way == "stacked" or (way == "auto" and jax.default_backend() != "cpu")


def at_once(group: Sequence[Point], *, way: str, budget_bytes: int = 0) -> int:
    """How many points of a group fit the memory, one at least.

    Args:
        group: points that may train together.
        way: one of WAYS.
        budget_bytes: what they may take, of each device where they are stacked; 0 for a share of
            the memory there is.
    """
    config = config_of_all([config for _, config in group])
    if not is_stacked(way):
        per_point = 4 * num_parameters(config) * CPU_ARRAYS_PER_PARAMETER
        return max(1, int((budget_bytes or CPU_SHARE * _memory_bytes()) // per_point))
    per_point = _stacked_bytes(config)
    budget = budget_bytes or DEVICE_SHARE * _device_bytes()
    return max(1, int(budget // per_point)) * jax.device_count()


def train_group(points: Mapping[Path, ConfigDict], *, way: str) -> None:
    """Train points that may train together, or go on; each in its directory, as it would alone.

    A point whose values are not finite ends with `diverged.json` in its directory.

    Raises:
        ValueError: if the config asks for pmap, which trains one run alone.
    """
    config = next(iter(points.values()))
    if config.parallel != "jit":
        raise ValueError(f"config: parallel must be 'jit' in a sweep, got {config.parallel!r}")
    check_mirrors(config)
    num_steps, validation = config.train.num_steps, data.validation_batches(config)
    # Finds out now, not after hours, what is missing.
    scored = ValidationScores.of(list(points.values()))
    for workdir, own in points.items():
        workdir.mkdir(parents=True, exist_ok=True)
        keep_fingerprints(
            data.data_root(own), workdir, embedded.soundfonts(own), embedded.songs(own)
        )
        save_config(own, workdir)
        if (first := saved_steps(workdir).get("last", 0)) < num_steps:
            begin = None if first else warm_start(own)
            keep_session(workdir, first_step=first, begin=begin)
    # Programs over several devices wait for one another inside, so no two may run at a time.
    is_alone = jax.default_backend() == "cpu" and jax.device_count() == 1
    at_a_time = num_processors() if is_alone else 1
    train.train_together(
        points,
        lambda first: data.batches(config, "train", first_step=first, num_steps=num_steps - first),
        stepper=Stacked if is_stacked(way) else partial(InTurn, at_a_time=at_a_time),
        set_apart=lambda run, error: set_apart(run.workdir, run.config, error),
        validation_batches=validation,
        scored=scored,
        excerpts_of=partial(data.excerpt_names, config),
    )


def _stacked_bytes(config) -> int:
    """What one point takes of a device: its state, and what the compiled step needs beside it."""
    with tempfile.TemporaryDirectory() as nothing_saved:
        run = Run(config, make_mesh(), Path(nothing_saved), first=0, validation=())
        stepper = Stacked([run])
        stepper.start(stepper.put(next(data.batches(config, "train", num_steps=1))))
        return stepper.num_bytes()


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _device_bytes() -> int:
    """Of one device; where it does not tell, as CPUs, of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit", _memory_bytes())
