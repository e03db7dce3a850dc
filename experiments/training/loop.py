"""The steps of a run: updates, the log, validation, checkpoints, and when to stop.

Whatever a run prints or writes is a function of the config alone, times apart: a run that was
stopped and started again leaves the same parameters and the same metrics as one that ran through.
"""

import collections
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax import checkpoint, parallel
from cerberus_jax.heads import HEADS
from cerberus_jax.processes import any_process
from cerberus_jax.train_state import TrainState
from data_pipeline.cli.progress import Progress
from experiments.config.loading import heads_of
from experiments.runtime.graceful_stop import GracefulStop
from experiments.training.finite import FiniteWatch, check_validation
from experiments.training.metric_log import log_of_process
from experiments.training.step_memory import memory_line
from experiments.training.task import task_of, untuned_metadata
from experiments.training.warm_start import warm_start

LONG_RUN_SECONDS = 3600
# Steps handed to the devices before the loop waits for the oldest. While it waits, the next two are
# queued, so the devices never idle; with more, batches would pile up in memory and the progress
# shown would not be true.
STEPS_AHEAD = 2
# Steps after the first, which compiles, from which the length of a run can be told.
STEPS_TO_JUDGE = 5


def start_step(workdir: str | Path) -> int:
    """The step to go on from: that of the newest whole checkpoint, 0 where there is none; damaged
    ones are named and set aside.

    Every process of a run has to call this at the same point.

    Raises:
        ValueError: if all checkpoints are damaged, in whichever process.
    """
    problem, found = None, None
    try:
        found = checkpoint.newest_whole(workdir)
    except (OSError, ValueError) as error:
        problem = error
    if any_process(problem is not None):
        raise problem or ValueError(f"{workdir}: another process cannot read its checkpoints")
    return int(found[0].name) if found else 0


def next_batch(batches: Iterator[dict], step: int) -> dict:
    """The next batch, or a ValueError that says at which step there was none."""
    try:
        return next(batches)
    except StopIteration:
        raise ValueError(f"batches: ended at step {step}, before train.num_steps") from None


class Loop:
    """What the loop does at each step, and what it remembers between them."""

    def __init__(self, config, mesh, workdir, validation_batches, excerpts_of=None):
        self.config, self.mesh, self.workdir = config, mesh, workdir
        self.task = task_of(config, num_devices=mesh.size, platform=parallel.platform_of(mesh))
        self.step_fn = parallel.make_step(self.task, mesh, parallel=config.parallel)
        self.eval_fn = parallel.jit_eval(self.task, mesh)
        self.validation = validation_batches
        weights = {name: jnp.float32(config.loss[name]) for name in heads_of(config)}
        self.weights = jax.device_put(weights, parallel.replicated(mesh))
        self.init_key, self.dropout_key = jax.random.split(jax.random.key(config.seed))
        self.metadata = untuned_metadata(config, self.task.model)
        self.metrics, self.logged = None, {}
        self.in_flight = collections.deque()  # (step, metrics), the oldest first
        self.watch = FiniteWatch(
            workdir, max_skipped=config.train.skip_nonfinite, excerpts_of=excerpts_of
        )
        self.following = None  # the batches after the first, on the devices
        self.since, self.since_step, self.waited = None, None, 0.0  # what the pace counts from
        self.paused = 0.0  # seconds of validation, logging and saving since then
        self.began = None  # when the first step was done, and its number

    def start(self, batch) -> tuple[TrainState, dict]:
        """The last checkpoint's state, or a fresh one, and the first batch, on all devices.

        A fresh one is made of the whole batch, so that it is the same in every process.
        """
        same, batch = parallel.replicated(self.mesh), self.put(batch)
        fresh = parallel.jit_init(self.task, self.mesh)
        if checkpoint.saved_steps(self.workdir):
            like = jax.eval_shape(fresh, self.init_key, batch)
            return checkpoint.restore_state(self.workdir, like, same), batch
        state, begin = fresh(self.init_key, batch), warm_start(self.config)
        return begin.apply(state) if begin else state, batch

    def run(self, state, batch, first, *, show) -> None:
        """The steps after `first`, `batch` being that of the first of them."""
        last = self.config.train.num_steps
        with (
            Progress(
                None, "training", last, initial=first, unit="step", disable=not show
            ) as progress,
            checkpoint.CheckpointWriter(
                self.workdir, keep=self.config.train.keep_checkpoints
            ) as writer,
            log_of_process(self.workdir, start_step=first) as log,
            GracefulStop() as stop,
        ):
            args = (state, batch, self.dropout_key, self.weights)
            self.step_fn = parallel.compile_step(self.step_fn, *args)
            if show:
                progress.write(memory_line(self.step_fn, state))
            for step in range(first + 1, last + 1):
                state = self.update(state, batch, step)
                progress.update()
                state = self.after_step(state, step, progress, writer, log)
                if self._stops(stop, step):
                    self._finish_steps()  # never over a checkpoint that is sound
                    writer.save("last", state, self.metadata)
                    raise KeyboardInterrupt
                if step < last:
                    batch = next_batch(self.following, step)

    def _stops(self, stop, step) -> bool:
        """Whether the run ends here; several processes settle that where they log, which waits."""
        if jax.process_count() > 1 and step % self.config.train.log_every:
            return False
        return any_process(stop.asked)

    def put(self, batch) -> dict:
        return parallel.put_batch(batch, self.mesh)

    def update(self, state, batch, step) -> TrainState:
        state, self.metrics = self.step_fn(state, batch, self.dropout_key, self.weights)
        self.in_flight.append((step, self.metrics))
        self._finish_steps(but=STEPS_AHEAD)
        if self.since_step is None:  # the pace is that of the steps after the first
            jax.block_until_ready(self.metrics)
            self._count_from(step, time.monotonic())
            self.began = (self.since, step)
        return state

    def _finish_steps(self, *, but: int = 0) -> None:
        """Waits until all steps are computed but the last few, and looks at what they gave."""
        while len(self.in_flight) > but:
            self.watch.look(*self.in_flight.popleft())

    def after_step(self, state, step, progress, writer, log) -> TrainState:
        """Logs, validates and saves where the config says so, and always at the end."""
        self._warn_if_long(step, progress)
        train, last = self.config.train, step == self.config.train.num_steps
        scheduled = step % train.log_every == 0 or step % train.eval_every == 0
        save = step % train.checkpoint_every == 0 or last
        if not (scheduled or save):
            return state
        entry, done = self._values(), time.monotonic()
        # Values that are there only because the run ends here are dropped when it goes on.
        only_here = [] if scheduled else list(entry)
        is_best = False
        if self.validation and (step % train.eval_every == 0 or last):
            validation = self._validate(state)
            check_validation(validation, step)
            is_best = validation["validation_loss"] < float(state.plateau.best)
            state = self._plateau(state, validation["validation_loss"], step)
            entry |= validation
            only_here += list(validation) if step % train.eval_every else []
        # The line first: a run that goes on drops the lines after its checkpoint, and could not
        # make one that is missing before it.
        if scheduled or last:
            self._log(step, entry, only_here, progress, log, done=done)
        if is_best:
            writer.save("best", state, self.metadata)
        if save:
            writer.save("last", state, self.metadata)
        self.paused += time.monotonic() - done
        return state

    def _values(self) -> dict[str, float]:
        """The metrics of the last step, once it is computed; finite ones, where its update was left
        out."""
        self._finish_steps()
        values = {name: value.item() for name, value in jax.device_get(self.metrics).items()}
        return {name: value for name, value in values.items() if np.isfinite(value)}

    def _log(self, step, entry, only_here, progress, log, *, done):
        time_fields = self._pace(step, done)
        extra = {"off_schedule": only_here} if only_here else {}
        if log:
            log.write(step, {**entry, **extra, "time": time_fields})
        self.logged = entry
        progress.set_postfix_str(_postfix(entry, time_fields))
        self._count_from(step, done)

    def _count_from(self, step, now):
        self.since, self.since_step, self.waited = now, step, self.following.waited
        self.paused = 0.0

    def _pace(self, step, now) -> dict:
        """Of training alone; its last step was done at the time `now`."""
        seconds = max(now - self.since - self.paused, 1e-9)
        steps = max(step - self.since_step, 1)
        return {
            "seconds_per_step": round(seconds / steps, 6),
            "examples_per_second": round(self.config.batch_size * steps / seconds, 3),
            "input_wait_percent": round(100 * (self.following.waited - self.waited) / seconds, 2),
        }

    def _warn_if_long(self, step, progress):
        """Says once, a few steps into the run, that it will take more than an hour."""
        began, first = self.began
        if step != first + STEPS_TO_JUDGE:
            return
        seconds_per_step = (time.monotonic() - began) / STEPS_TO_JUDGE
        remaining = (self.config.train.num_steps - step) * seconds_per_step
        if remaining > LONG_RUN_SECONDS and jax.process_index() == 0:
            progress.write(
                f"This run will take about {remaining / 3600:.1f} hours more on this machine. "
                "For a network in minutes: python -m experiments.run --config=sets/demo.py"
            )

    def _validate(self, state) -> dict:
        """Means over all validation examples of all processes."""
        losses = [
            self.eval_fn(state.evaluated, parallel.put_batch(batch, self.mesh), self.weights)
            for batch in self.validation
        ]
        return {
            f"validation_{name}": float(np.mean([np.mean(np.asarray(b[name])) for b in losses]))
            for name in losses[0]
        }

    def _plateau(self, state, loss, step) -> TrainState:
        """The schedule counts only the validations of its rhythm, so that a run that ended in
        between and goes on is the same run."""
        if step % self.config.train.eval_every:
            return state
        optimizer = self.config.optimizer
        factor = optimizer.plateau_factor if optimizer.schedule == "plateau" else 1.0
        plateau = state.plateau.update(loss, factor=factor, patience=optimizer.plateau_patience)
        plateau = jax.device_put(plateau, parallel.replicated(self.mesh))
        return state.replace(plateau=plateau)


def _postfix(entry, time_fields) -> str:
    fields = [("loss", "loss"), *((head.short_name, name) for name, head in HEADS.items())]
    fields.append(("val", "validation_loss"))
    values = [f"{label} {entry[name]:.4f}" for label, name in fields if name in entry]
    return ", ".join([*values, f"{time_fields['examples_per_second']:.1f} ex/s"])
