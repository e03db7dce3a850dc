"""One of the runs that a loop trains: its network, its log, its checkpoints.

A directory gets the same files whether its run trains alone or with others, times apart.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cerberus_jax import checkpoint, parallel
from cerberus_jax.architecture import decoding_from_json
from cerberus_jax.heads import separates, transcribes
from cerberus_jax.processes import of_first_process
from cerberus_jax.train_state import TrainState
from experiments.config.loading import heads_of
from experiments.training.finite import FiniteWatch, check_validation
from experiments.training.metric_log import MetricLog
from experiments.training.mirrors import mirrors_of
from experiments.training.task import task_of, untuned_metadata
from experiments.training.warm_start import warm_start

VALIDATION_LOSS = "validation_loss"
# What may be scored of a network, and whether one with given heads has it.
SCORES = {"si_sdr_improvement": separates, "onset_f1": transcribes}


class Run:
    """What a run is, and what it remembers between its steps.

    Args:
        config: the run's config.
        mesh: the devices.
        workdir: its directory.
        first: the step it goes on from.
        validation: the fixed batches of every validation.
        scored: gives scores, of those in SCORES, of a network, its parameters and decoding at every
            validation; None: its losses alone are known.
        excerpts_of: the names of the excerpts in batch k, counted from 0; None: not known.
        eval_fn: what validates, compiled for another run with the same heads; None: a new one.
    """

    def __init__(
        self,
        config: ConfigDict,
        mesh: Mesh,
        workdir: Path,
        *,
        first: int,
        validation: Sequence[dict],
        scored: Callable[..., dict[str, float]] | None = None,
        excerpts_of: Callable[[int], Sequence[str]] | None = None,
        eval_fn: Callable | None = None,
    ):
        self.config, self.mesh, self.workdir, self.first = config, mesh, workdir, first
        self.task = task_of(config, num_devices=mesh.size, platform=parallel.platform_of(mesh))
        self.heads = heads_of(config)
        self.eval_fn = eval_fn or parallel.jit_eval(self.task, mesh)
        self.validation, self.scored = validation, scored
        weights = {name: jnp.float32(config.loss[name]) for name in self.heads}
        self.weights = jax.device_put(weights, parallel.replicated(mesh))
        self.init_key, self.dropout_key = jax.random.split(jax.random.key(config.seed))
        self.metadata = untuned_metadata(config, self.task.model)
        self.watch = FiniteWatch(
            workdir, max_skipped=config.train.skip_nonfinite, excerpts_of=excerpts_of
        )
        self.logged, self.ended = {}, False  # ended: no step more, it is not finite
        self._writer, self._logs = None, []

    def check_best_by(self) -> None:
        """Raises ValueError if validations will not give what the best network is chosen by."""
        name = self.config.train.best_by
        if name != VALIDATION_LOSS and not (self.validation and self.scored):
            raise ValueError(
                f"train.best_by={name!r} needs validation batches and scores, got "
                f"{len(self.validation)} batches and scored={self.scored!r}"
            )

    @contextlib.contextmanager
    def files(self):
        """Its log and what mirrors it, and its checkpoints, open."""
        keep = self.config.train.keep_checkpoints
        with contextlib.ExitStack() as stack:
            writer = checkpoint.CheckpointWriter(self.workdir, keep=keep)
            self._writer = stack.enter_context(writer)
            if jax.process_index() == 0:
                log = stack.enter_context(MetricLog(self.workdir, start_step=self.first))
                mirrors = mirrors_of(self.config, self.workdir)
                self._logs = [log, *stack.enter_context(mirrors)]
            yield

    def restored(self, fresh, batch) -> TrainState | None:
        """The state of its last checkpoint, in the form of what `fresh(key, batch)` gives, on all
        devices; None where it has none."""
        if not checkpoint.saved_steps(self.workdir):
            return None
        like = jax.eval_shape(fresh, self.init_key, batch)
        return checkpoint.restore_state(self.workdir, like, parallel.replicated(self.mesh))

    def begun(self, fresh: TrainState) -> TrainState:
        """A fresh state with what it takes over from another network, if anything."""
        begin = warm_start(self.config)
        return begin.apply(fresh) if begin else fresh

    def is_due(self, step: int) -> bool:
        """Whether it logs, validates or saves after a step."""
        train = self.config.train
        rhythms = (train.log_every, train.eval_every, train.checkpoint_every)
        return step == train.num_steps or any(step % every == 0 for every in rhythms)

    def is_logged(self, step: int) -> bool:
        """Whether a step gets a line in the log."""
        train = self.config.train
        return self._is_scheduled(step) or step == train.num_steps

    def after_step(self, step: int, metrics: dict, stepper, pace: dict) -> None:
        """Log, validate and save where the config says so, and always at the end.

        Args:
            step: the number of the step, which is computed.
            metrics: what it gave.
            stepper: has the run's state.
            pace: the times of its line in the log.
        """
        train, last = self.config.train, step == self.config.train.num_steps
        # Those are left out that are not finite, where the update was left out.
        entry = {name: value.item() for name, value in metrics.items() if np.isfinite(value)}
        # Values that are there only because the run ends here are dropped when it goes on.
        only_here = [] if self._is_scheduled(step) else list(entry)
        is_best = False
        if self.validation and (step % train.eval_every == 0 or last):
            state = stepper.state(self)
            validation = self._validate(state, step)
            criterion = self._criterion(validation, step)
            is_best = criterion < float(state.plateau.best)
            if step % train.eval_every:
                only_here += list(validation)
            else:
                # The schedule counts only the validations of its rhythm, so that a run that ended
                # in between and goes on is the same run.
                stepper.set_plateau(self, self._plateau(state, criterion))
            entry |= validation
        # The line first: a run that goes on drops the lines after its checkpoint, and could not
        # make one that is missing before it.
        if self.is_logged(step):
            extra = {"off_schedule": only_here} if only_here else {}
            for log in self._logs:
                log.write(step, {**entry, **extra, "time": pace})
            self.logged = entry
        if is_best:
            self.save("best", stepper)
        if step % train.checkpoint_every == 0 or last:
            self.save("last", stepper)

    def save(self, kind: str, stepper) -> None:
        """Save a checkpoint, in the background."""
        self._writer.save(kind, stepper.state(self), self.metadata)

    def _is_scheduled(self, step):
        train = self.config.train
        return step % train.log_every == 0 or step % train.eval_every == 0

    def _validate(self, state, step) -> dict:
        """Means over all validation examples of all processes, and the scores, which the first
        process takes."""
        losses = [
            self.eval_fn(state.evaluated, parallel.put_batch(batch, self.mesh), self.weights)
            for batch in self.validation
        ]
        values = {
            f"validation_{name}": float(np.mean([np.mean(np.asarray(b[name])) for b in losses]))
            for name in losses[0]
        }
        check_validation(values, step)
        return values | {f"validation_{name}": score for name, score in self._scores(state).items()}

    def _scores(self, state) -> dict[str, float]:
        names = [name for name, has_heads in SCORES.items() if has_heads(self.heads)]
        if not (self.scored and names):
            return {}
        found = {}
        if jax.process_index() == 0:
            params = jax.tree.map(lambda array: array.addressable_data(0), state.evaluated)
            model = self.task.model
            found = self.scored(model, params, decoding_from_json(self.metadata["decoding"], model))
        values = of_first_process(np.array([found.get(name, np.nan) for name in names]))
        return {
            name: value
            for name, value in zip(names, values.tolist(), strict=True)
            if np.isfinite(value)
        }

    def _criterion(self, validation, step) -> float:
        """What the best network has least of: a loss, or a score with its sign turned."""
        name = self.config.train.best_by
        if name not in validation:
            raise ValueError(
                f"train.best_by: {name} expected at step {step}, got "
                f"{', '.join(validation)}: none of the {self.config.train.scored_excerpts} "
                "validation excerpts has what it is taken of; in another --workdir more of them "
                f"by --config.train.scored_excerpts, or --config.train.best_by={VALIDATION_LOSS}"
            )
        # As exactly as the state remembers the best.
        return float(np.float32(validation[name] * (1 if name == VALIDATION_LOSS else -1)))

    def _plateau(self, state, criterion):
        optimizer = self.config.optimizer
        factor = optimizer.plateau_factor if optimizer.schedule == "plateau" else 1.0
        plateau = state.plateau.update(
            criterion, factor=factor, patience=optimizer.plateau_patience
        )
        return jax.device_put(plateau, parallel.replicated(self.mesh))
