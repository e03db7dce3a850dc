"""The steps of a run, or of several that train on the same batches: updates, and when to log,
validate, save and stop.

Whatever a run prints or writes is a function of the config alone, times apart: a run that was
stopped and started again leaves the same parameters and the same metrics as one that ran through.
"""

import collections
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from cerberus_jax import checkpoint
from cerberus_jax.heads import HEADS
from cerberus_jax.processes import any_process
from data_pipeline.cli.progress import Progress
from experiments.runtime.graceful_stop import GracefulStop
from experiments.training.finite import NotFinite
from experiments.training.one_run import Run
from experiments.training.steppers import Stepper

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
        found = checkpoint.newest_whole(workdir, with_arrays=False)
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
    """What the loop does at each step, and what it remembers between them.

    Args:
        runs: those that train; of points of a sweep each joins at the step it goes on from.
        stepper: updates them.
        set_apart: called with a run and what is wrong when its values are not finite, and the
            others go on; None: that ends the loop.
    """

    def __init__(self, runs: Sequence[Run], stepper: Stepper, *, set_apart=None):
        self.runs, self.stepper, self.set_apart = list(runs), stepper, set_apart
        self.config = runs[0].config
        self.metrics = {}  # of the last step that was finished, by run
        self.in_flight = collections.deque()  # (step, what the update gave), the oldest first
        self.following = None  # the batches after the first, on the devices
        self.since, self.since_step, self.waited = None, None, 0.0  # what the pace counts from
        self.paused = 0.0  # seconds of validation, logging and saving since then
        self.began = None  # when the first step was done, and its number

    def run(self, batch, *, show) -> None:
        """All steps, `batch` being that of the first of them."""
        last, first = self.config.train.num_steps, min(run.first for run in self.runs)
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(
                Progress(None, "training", last, initial=first, unit="step", disable=not show)
            )
            for run in self.runs:
                stack.enter_context(run.files())
            stack.callback(self.stepper.close)
            stop = stack.enter_context(GracefulStop())
            if show and (line := self.stepper.memory_line()):
                progress.write(line)
            for step in range(first + 1, last + 1):
                self.update(batch, step)
                progress.update()
                self.after_step(step, progress)
                if all(run.ended for run in self.runs):
                    return
                if self._stops(stop, step):
                    self._finish_steps()  # never over a checkpoint that is sound
                    for run in self._active(step):
                        run.save("last", self.stepper)
                    raise KeyboardInterrupt
                if step < last:
                    batch = next_batch(self.following, step)

    def _active(self, step) -> list[Run]:
        return [run for run in self.runs if run.first < step and not run.ended]

    def _stops(self, stop, step) -> bool:
        """Whether the run ends here; several processes settle that where they log, which waits."""
        if jax.process_count() > 1 and step % self.config.train.log_every:
            return False
        return any_process(stop.asked)

    def update(self, batch, step) -> None:
        self.in_flight.append((step, self.stepper.update(batch, self._active(step))))
        self._finish_steps(but=STEPS_AHEAD)
        if self.since_step is None:  # the pace is that of the steps after the first
            jax.block_until_ready(list(self.stepper.metrics(self.in_flight[-1][1]).values()))
            self._count_from(step, time.monotonic())
            self.began = (self.since, step)

    def _finish_steps(self, *, but: int = 0) -> None:
        """Waits until all steps are computed but the last few, and looks at what they gave."""
        while len(self.in_flight) > but:
            step, given = self.in_flight.popleft()
            self.metrics = self.stepper.metrics(given)
            for run, metrics in self.metrics.items():
                with self._setting_apart(run):
                    if not run.ended:
                        run.watch.look(step, metrics)

    @contextlib.contextmanager
    def _setting_apart(self, run):
        """Around what raises where the values of a run are not finite."""
        try:
            yield
        except NotFinite as error:
            if self.set_apart is None:
                raise
            run.ended = True
            self.set_apart(run, error)

    def after_step(self, step, progress) -> None:
        """What the runs do beside training, and how fast that was."""
        self._warn_if_long(step, progress)
        if not any(run.is_due(step) for run in self._active(step)):
            return
        self._finish_steps()
        active, done = self._active(step), time.monotonic()
        pace = self._pace(step, done)
        for run in active:
            with self._setting_apart(run):
                run.after_step(step, jax.device_get(self.metrics[run]), self.stepper, pace)
        if any(run.is_logged(step) for run in active):
            progress.set_postfix_str(_postfix(active, pace))
            self._count_from(step, done)
        self.paused += time.monotonic() - done

    def _count_from(self, step, now):
        self.since, self.since_step, self.waited = now, step, self.following.waited
        self.paused = 0.0

    def _pace(self, step, now) -> dict:
        """Of training alone, and of one run: its share where several train together; the last step
        was done at the time `now`."""
        seconds = max(now - self.since - self.paused, 1e-9)
        steps = max(step - self.since_step, 1) * max(len(self._active(step)), 1)
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


def _postfix(runs, pace) -> str:
    speed = f"{pace['examples_per_second']:.1f} ex/s"
    if len(runs) != 1:
        return f"{len(runs)} points, {speed}"
    fields = [("loss", "loss"), *((head.short_name, name) for name, head in HEADS.items())]
    fields.append(("val", "validation_loss"))
    entry = runs[0].logged
    return ", ".join([*(f"{k} {entry[name]:.4f}" for k, name in fields if name in entry), speed])
