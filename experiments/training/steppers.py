"""Who holds the states of the runs of a loop and updates them: of one run by itself, or of points
of a sweep, in turn or stacked in one program."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax import parallel, together
from cerberus_jax.heads import HEADS
from cerberus_jax.steps import Task, init_state
from cerberus_jax.train_state import Plateau, TrainState
from experiments.training.one_run import Run
from experiments.training.step_memory import memory_line
from experiments.training.task import config_of_all, task_of


class Stepper:
    """The states of some runs, all on the devices of one mesh."""

    def __init__(self, runs: Sequence[Run]):
        self.runs, self.mesh = list(runs), runs[0].mesh

    def put(self, batch: dict) -> dict:
        """A batch on the devices, from the share of it that this process has read."""
        return parallel.put_batch(batch, self.mesh)

    def start(self, batch: dict) -> None:
        """States from the last checkpoints or fresh ones, and programs compiled, for batches like
        this one, the first."""
        raise NotImplementedError

    def update(self, batch: dict, runs: Sequence[Run]) -> object:
        """Updates some of the runs; returns before that is computed, with what `metrics` takes."""
        raise NotImplementedError

    def metrics(self, given: object) -> dict[Run, dict]:
        """The metrics of an update by run, once they are computed."""
        raise NotImplementedError

    def state(self, run: Run) -> TrainState:
        """The state of a run, as it would be alone."""
        raise NotImplementedError

    def set_plateau(self, run: Run, plateau: Plateau) -> None:
        """What a validation has changed."""
        raise NotImplementedError

    def memory_line(self) -> str:
        """What a step takes of a device, once it is compiled; '' where that is not known."""
        return ""

    def close(self) -> None:
        """No update comes after this."""


class Alone(Stepper):
    """One run, in the program of a whole step."""

    def start(self, batch: dict) -> None:
        """A fresh state is made of the whole batch, so that it is the same in every process."""
        (run,) = self.runs
        fresh = parallel.jit_init(run.task, self.mesh)
        restored = run.restored(fresh, batch)
        self._state = run.begun(fresh(run.init_key, batch)) if restored is None else restored
        step = parallel.make_step(run.task, self.mesh, parallel=run.config.parallel)
        self._program = parallel.compile_step(
            step, self._state, batch, run.dropout_key, run.weights
        )

    def update(self, batch, runs):
        (run,) = runs
        self._state, metrics = self._program(self._state, batch, run.dropout_key, run.weights)
        return {run: metrics}

    def metrics(self, given):
        return given

    def memory_line(self):
        return memory_line(self._program, self._state)

    def state(self, run):
        return self._state

    def set_plateau(self, run, plateau):
        self._state = self._state.replace(plateau=plateau)


class InTurn(Stepper):
    """Points of a sweep with one program for each set of heads; targets are made once for all.

    Several points may be computed at a time, each by a thread: on a CPU one program leaves cores
    idle where it is serial, above all in the recurrence. No result depends on how many they are.

    Args:
        runs: points that differ in nothing but what `together.Setting` holds.
        at_a_time: points computed at a time.
    """

    def __init__(self, runs: Sequence[Run], *, at_a_time: int = 1):
        super().__init__(runs)
        self._task = _task_of_all(runs, self.mesh, num_devices=self.mesh.size)
        self._settings = {
            run: jax.device_put(setting, parallel.replicated(self.mesh))
            for run, setting in zip(runs, settings_of(runs), strict=True)
        }
        self._targets = together.jit_targets(self._task, self.mesh)
        self._programs = {}
        self._pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="points")
        self._wait = jax.block_until_ready if at_a_time > 1 else lambda values: values
        self._last: dict[Run, Future] = {}  # (state, metrics) of each run after its last update

    def start(self, batch):
        fresh = parallel.jit_init(self._task, self.mesh)
        for run in self.runs:
            state = run.restored(parallel.jit_init(run.task, self.mesh), batch)
            if state is None:
                state = run.begun(together.part_of(fresh(run.init_key, batch), run.heads))
            self._keep(run, state)
        targets = self._targets(batch)

        def compiled(run):
            step = together.jit_point_step(run.task, self.mesh)
            return parallel.compile_step(step, self.state(run), targets, self._settings[run])

        of_heads = {run.heads: run for run in self.runs}
        self._programs = dict(
            zip(of_heads, self._pool.map(compiled, of_heads.values()), strict=True)
        )

    def update(self, batch, runs):
        targets = self._targets(batch)
        for run in runs:
            self._last[run] = self._pool.submit(self._step, run, targets, self._last[run])
        return {run: self._last[run] for run in runs}

    def _step(self, run, targets, before):
        state, _ = before.result()
        return self._wait(self._programs[run.heads](state, targets, self._settings[run]))

    def metrics(self, given):
        return {run: after.result()[1] for run, after in given.items()}

    def state(self, run):
        return self._last[run].result()[0]

    def set_plateau(self, run, plateau):
        self._keep(run, self.state(run).replace(plateau=plateau))

    def _keep(self, run, state):
        self._last[run] = Future()
        self._last[run].set_result((state, {}))

    def close(self):
        self._pool.shutdown(cancel_futures=True)


class Stacked(Stepper):
    """Points of a sweep in one program, mapped over the points, which are divided over the devices;
    where their number does not divide, the last is computed more than once."""

    def __init__(self, runs: Sequence[Run]):
        super().__init__(runs)
        self._lanes = self.runs + self.runs[-1:] * (-len(runs) % self.mesh.size)
        self._task = _task_of_all(runs, self.mesh, num_devices=1)
        settings = dict(zip(runs, settings_of(runs, self._task.model.heads), strict=True))
        self._settings = self._stack([settings[run] for run in self._lanes])
        self._masks = {}

    def put(self, batch):
        """Every device has points of its own and needs the whole batch."""
        return jax.device_put(batch, parallel.replicated(self.mesh))

    def start(self, batch):
        fresh, states = jax.jit(partial(init_state, self._task)), []
        for run in self._lanes:
            state = fresh(run.init_key, batch)
            part = run.restored(jax.jit(partial(init_state, run.task)), batch)
            if part is None:
                part = run.begun(together.part_of(state, run.heads))
            states.append(together.filled(state, part))
        self._states = self._stack([state.replace(step=None) for state in states])
        first = jnp.int32(min(run.first for run in self.runs))
        first = jax.device_put(first, parallel.replicated(self.mesh))
        self._states = self._states.replace(step=first)
        step = together.jit_stacked_step(self._task, self.mesh)
        args = (self._states, batch, self._settings, self._active(self.runs))
        self._program = parallel.compile_step(step, *args)

    def update(self, batch, runs):
        args = (self._states, batch, self._settings, self._active(runs))
        self._states, metrics = self._program(*args)
        return metrics, runs

    def metrics(self, given):
        metrics, runs = given
        values = jax.device_get(metrics)
        return {
            run: {
                name: value[self._lanes.index(run)]
                for name, value in values.items()
                if name not in HEADS or name in run.heads
            }
            for run in runs
        }

    def state(self, run):
        lane, states = self._lanes.index(run), self._states
        own = jax.tree.map(lambda a: a[lane], states.replace(step=None)).replace(step=states.step)
        own = together.part_of(own, run.heads)
        return jax.device_put(own, parallel.replicated(self.mesh))

    def set_plateau(self, run, plateau):
        lane = self._lanes.index(run)
        after = jax.tree.map(lambda a, own: a.at[lane].set(own), self._states.plateau, plateau)
        after = jax.device_put(after, parallel.sharded(self.mesh))
        self._states = self._states.replace(plateau=after)

    def num_bytes(self) -> int:
        """Of a device, for its points: their states, what is common, and what a step needs."""
        memory = self._program.memory_analysis()
        return memory.argument_size_in_bytes + memory.temp_size_in_bytes

    def _active(self, runs):
        """Which lanes are updated, on the devices; seldom others than a step before."""
        active = tuple(run in runs for run in self._lanes)
        if active not in self._masks:
            self._masks[active] = jax.device_put(np.array(active), parallel.sharded(self.mesh))
        return self._masks[active]

    def _stack(self, trees):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
        return jax.device_put(stacked, parallel.sharded(self.mesh))


def settings_of(runs: Sequence[Run], heads: Sequence[str] | None = None) -> list[together.Setting]:
    """What tells the runs apart; with `heads`, a weight for each of those, zero where absent."""
    values = {
        name: [np.float64(run.config.optimizer[name]) for run in runs]
        for name in together.OPTIMIZER_ARRAYS
    }
    differing = {name: of_runs for name, of_runs in values.items() if len(set(of_runs)) > 1}
    return [
        together.Setting(
            key=run.dropout_key,
            loss_weights={
                name: run.weights.get(name, jnp.float32(0)) for name in heads or run.heads
            },
            optimizer={name: of_runs[number] for name, of_runs in differing.items()},
        )
        for number, run in enumerate(runs)
    ]


def _task_of_all(runs, mesh, *, num_devices) -> Task:
    config, platform = config_of_all([run.config for run in runs]), parallel.platform_of(mesh)
    return task_of(config, num_devices=num_devices, platform=platform)
