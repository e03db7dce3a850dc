"""A training run on noise that takes a second: its config, its batches, what it leaves."""

import itertools

import jax
import numpy as np

from cerberus_jax import checkpoint, parallel
from cerberus_jax.steps import init_state
from experiments import train
from experiments.config.loading import load_config
from experiments.training.metric_log import read_metrics
from tests.tiny_network import noise_batch

TINY = {
    "instruments": "piano,bass",
    "batch_size": 4,
    "excerpt_seconds": 0.08,
    "audio.window": 128,
    "audio.hop": 32,
    "model.layers": 2,
    "model.hidden": 8,
    "model.dropout": 0.3,
    "model.embedding_dim": 5,
    "train.log_every": 1,
    "train.eval_every": 3,
    "train.checkpoint_every": 5,
}


def tiny_config(**changes):
    return load_config("sets/set1.py", TINY | {k.replace("__", "."): v for k, v in changes.items()})


def batches(first=0):
    return (noise_batch(4, seed=k) for k in itertools.count(first))


def run_training(workdir, given=None, **changes):
    """Trains, or goes on, with the given batches or with those of `batches`."""
    config = tiny_config(**changes)
    first = train.start_step(workdir)
    return train.train(
        config,
        batches(first) if given is None else given,
        workdir=workdir,
        validation_batches=[noise_batch(4, seed=1000)],
        progress=False,
    )


def without_time(entries):
    return [{k: v for k, v in entry.items() if k != "time"} for entry in entries]


def last_state(workdir, **changes):
    task = train.task_of(tiny_config(**changes))
    like = jax.eval_shape(lambda: init_state(task, jax.random.key(0), noise_batch(4)))
    same = parallel.replicated(parallel.make_mesh())
    return jax.tree.map(np.asarray, checkpoint.restore_state(workdir, like, same))


def assert_same_run(one, other, **changes):
    assert without_time(read_metrics(one)) == without_time(read_metrics(other))
    jax.tree.map(np.testing.assert_array_equal, *(last_state(d, **changes) for d in (one, other)))
    assert checkpoint.saved_steps(one) == checkpoint.saved_steps(other)
