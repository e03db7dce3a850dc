"""Training: batches in, checkpoints and metrics out, without TensorFlow and without audio files."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from cerberus_jax import parallel
from cerberus_jax.precision_check import check_precision
from cerberus_jax.processes import check_same
from experiments.runtime.deterministic import compute_deterministically
from experiments.training.loop import Loop, next_batch, start_step
from experiments.training.prefetch import Prefetch
from experiments.training.task import model_of, task_of

__all__ = ["model_of", "start_step", "task_of", "train"]

# Batches read and put on the devices before a step takes them.
BATCHES_AHEAD = 2


def train(
    config: ConfigDict,
    batches: Iterable[dict],
    *,
    workdir: str | Path,
    validation_batches: Iterable[dict] = (),
    excerpts_of: Callable[[int], Sequence[str]] | None = None,
    progress: bool = True,
) -> dict:
    """Trains from the last checkpoint in `workdir` (or from nothing) to `train.num_steps`.

    Args:
        config: the run's config.
        batches: this process's share of each batch, the first one being that of step
            `start_step(workdir)`; any iterable, also without TensorFlow.
        workdir: the run's directory.
        validation_batches: the fixed batches of every validation.
        excerpts_of: the names of the excerpts in batch k, counted from 0, for messages.
        progress: show a progress bar.

    Returns:
        `step`, and the last values logged.

    Raises:
        ValueError: if the batch cannot be divided over the devices, the backend lacks the
            precision, it is too late for `train.deterministic`, processes see different
            checkpoints, the batches end early, or a loss or gradient is not finite.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the present step is saved; of several
            processes any may get the signal, and all stop after the next logged step.
    """
    if config.train.deterministic:
        compute_deterministically()
    mesh = parallel.make_mesh()
    parallel.check_batch_size(config.batch_size, mesh.size, config.train.accumulation_steps)
    check_precision(config.model.precision)
    loop = Loop(config, mesh, Path(workdir), list(validation_batches), excerpts_of)
    first, last = start_step(workdir), config.train.num_steps
    check_same("workdir: its last step", first, hint="all need the same directory, e.g. by NFS")
    if first >= last:
        return {"step": first}
    batches = itertools.islice(batches, last - first)  # none is read that no step takes
    batch = next_batch(batches, first)
    with Prefetch(batches, loop.put, ahead=BATCHES_AHEAD) as loop.following:
        state, batch = loop.start(batch)  # drops the batch on the host
        loop.run(state, batch, first, show=progress and jax.process_index() == 0)
    return {"step": config.train.num_steps, **loop.logged}
