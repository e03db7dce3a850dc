"""Training: batches in, checkpoints and metrics out, without TensorFlow and without audio files."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from cerberus_jax import parallel
from cerberus_jax.precision_check import check_precision
from cerberus_jax.processes import check_same
from experiments.config.loading import heads_of
from experiments.runtime.deterministic import compute_deterministically
from experiments.training.loop import Loop, next_batch, start_step
from experiments.training.one_run import Run
from experiments.training.prefetch import Prefetch
from experiments.training.steppers import Alone, Stepper
from experiments.training.task import model_of, task_of

__all__ = ["model_of", "start_step", "task_of", "train", "train_together"]

# Batches read and put on the devices before a step takes them.
BATCHES_AHEAD = 2


def train(
    config: ConfigDict,
    batches: Iterable[dict],
    *,
    workdir: str | Path,
    validation_batches: Iterable[dict] = (),
    scored: Callable[..., dict[str, float]] | None = None,
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
        scored: scores a network, its parameters and decoding at every validation, beside its
            losses (validation_scores.py); of several processes the first calls it.
        excerpts_of: the names of the excerpts in batch k, counted from 0, for messages.
        progress: show a progress bar.

    Returns:
        `step`, and the last values logged.

    Raises:
        ValueError: if the batch cannot be divided over the devices, the backend lacks the
            precision, it is too late for `train.deterministic`, processes see different
            checkpoints, the batches end early, a loss or gradient is not finite, or validation
            does not give what `train.best_by` names.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the present step is saved; of several
            processes any may get the signal, and all stop after the next logged step.
    """
    if config.train.deterministic:
        compute_deterministically()
    mesh = parallel.make_mesh()
    parallel.check_batch_size(config.batch_size, mesh.size, config.train.accumulation_steps)
    check_precision(config.model.precision)
    first = start_step(workdir)
    check_same("workdir: its last step", first, hint="all need the same directory, e.g. by NFS")
    if first >= config.train.num_steps:
        return {"step": first}
    run = Run(
        config,
        mesh,
        Path(workdir),
        first=first,
        validation=list(validation_batches),
        scored=scored,
        excerpts_of=excerpts_of,
    )
    loop = Loop([run], Alone([run]))
    _train(loop, batches, show=progress and jax.process_index() == 0)
    return {"step": config.train.num_steps, **run.logged}


def train_together(
    configs: Mapping[Path, ConfigDict],
    batches: Callable[[int], Iterable[dict]],
    *,
    stepper: Callable[[Sequence[Run]], Stepper],
    set_apart: Callable[[Run, ValueError], None],
    validation_batches: Iterable[dict] = (),
    scored: Callable[..., dict[str, float]] | None = None,
    excerpts_of: Callable[[int], Sequence[str]] | None = None,
    progress: bool = True,
) -> None:
    """Trains several runs on the same batches; each leaves in its directory what it would alone.

    Args:
        configs: of each run, by its directory; they differ in nothing but what `together.Setting`
            holds. Each goes on from its last checkpoint, and one that is trained is left alone.
        batches: the batches from a step on.
        stepper: of the runs that are to be trained.
        set_apart: called with a run that ends because its values are not finite, and why.
        validation_batches, scored, excerpts_of, progress: as for `train`.

    Raises:
        ValueError: as `train`, but for values that are not finite.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the present step of all is saved.
    """
    if any(config.train.deterministic for config in configs.values()):
        compute_deterministically()
    mesh, runs, validation = parallel.make_mesh(), [], list(validation_batches)
    for workdir, config in configs.items():
        parallel.check_batch_size(config.batch_size, mesh.size, config.train.accumulation_steps)
        check_precision(config.model.precision)
        first = start_step(workdir)
        if first >= config.train.num_steps:
            continue
        heads = heads_of(config)
        eval_fn = next((run.eval_fn for run in runs if run.heads == heads), None)
        known = {"first": first, "validation": validation, "scored": scored}
        runs.append(Run(config, mesh, workdir, eval_fn=eval_fn, excerpts_of=excerpts_of, **known))
    if runs:
        loop = Loop(runs, stepper(runs), set_apart=set_apart)
        _train(loop, batches(min(run.first for run in runs)), show=progress)


def _train(loop: Loop, batches: Iterable[dict], *, show: bool) -> None:
    for run in loop.runs:
        run.check_best_by()
    first = min(run.first for run in loop.runs)
    last = loop.config.train.num_steps
    batches = itertools.islice(batches, last - first)  # none is read that no step takes
    batch = next_batch(batches, first)
    with Prefetch(batches, loop.stepper.put, ahead=BATCHES_AHEAD) as loop.following:
        batch = loop.stepper.put(batch)  # drops the one on the host
        loop.stepper.start(batch)
        loop.run(batch, show=show)
