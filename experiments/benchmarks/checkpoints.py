"""What checkpoints with checksums cost: blocks of training steps with a save and without, in turns.

    python -m experiments.benchmarks.checkpoints --config=sets/cerberus_demo.py

A block ends when its save is on disk, so all of the save's work falls into it. With few steps a
block the difference is large enough to be measured; at the default interval it is shared out over
that many steps. Processor time is told beside the time passed, because other work on the machine
does not change it much.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from experiments.benchmarks import command, machine
from experiments.benchmarks.result import Result
from experiments.config.command_line import CommandFlags, Overrides, run_command

COLUMNS = {
    "clock": ("clock", ""),
    "s a step": ("step", ".4f"),
    "s a save": ("save", ".3f"),
    "% at the interval": ("percent", ".2f"),
}
CLOCKS = {"passed": time.perf_counter, "processor": time.process_time}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.checkpoints [--config=SET] [--out=FILE.json]",
        "Time blocks of training steps with a checkpoint and without, in turns, on random data.",
    )
    flags.path("config", "sets/cerberus_demo.py", "The set whose network is trained.")
    flags.integer("steps", 20, "Steps of a block.", lowest=1)
    flags.integer("rounds", 5, "Blocks of each sort.", lowest=1)
    command.add_out_flag(flags)
    return run_command(_measure, flags, argv=argv, with_config=True)


def _measure(flags: CommandFlags, overrides: Overrides) -> None:
    from experiments.config.loading import load_config

    config = load_config(flags.config, overrides)
    interval = config.train.checkpoint_every
    described = {"config": flags.config, "interval": interval, "steps": flags.steps}
    result = Result("checkpoints", machine.describe(), COLUMNS, described)
    with tempfile.TemporaryDirectory() as folder:
        block = blocks(config, folder, steps=flags.steps)
        block(saves=True)
        turns = [(block(saves=False), block(saves=True)) for _ in range(flags.rounds)]
    for clock in CLOCKS:
        result.rows.append({"clock": clock} | cost(turns, clock, flags.steps, interval))
    result.finish(flags.out)


def cost(turns: list[tuple[dict, dict]], clock: str, steps: int, interval: int) -> dict[str, float]:
    """Seconds of a step and of a save, and the percentage that saves add at an interval of steps.

    Args:
        turns: seconds by clock of a block without a save and of one with it.
        clock: which of them.
        steps: of a block.
        interval: steps between two checkpoints.
    """
    step = statistics.median(without[clock] for without, _ in turns) / steps
    save = statistics.median(with_save[clock] - without[clock] for without, with_save in turns)
    return {"step": step, "save": save, "percent": 100 * save / (interval * step)}


def blocks(config, folder: str, *, steps: int) -> Callable[..., dict[str, float]]:
    """A function that trains for a block of steps, with a save at its end or without, and gives the
    seconds it took by each clock."""
    import jax
    import jax.numpy as jnp

    from cerberus_jax import parallel
    from cerberus_jax.checkpoint import CheckpointWriter
    from experiments.benchmarks.workload import Workload, loader_batch
    from experiments.config.loading import heads_of
    from experiments.training.task import task_of, untuned_metadata

    mesh, audio = parallel.make_mesh(), config.audio
    task = task_of(config, num_devices=mesh.size, platform=parallel.platform_of(mesh))
    work = Workload(
        batch_size=config.batch_size,
        seconds=config.excerpt_seconds,
        num_instruments=len(config.instruments),
        sample_rate_hz=audio.sample_rate_hz,
        window=audio.window,
        hop=audio.hop,
    )
    batch, key = parallel.put_batch(loader_batch(work), mesh), jax.random.key(0)
    weights = {name: jnp.float32(config.loss[name]) for name in heads_of(config)}
    rest = batch, key, jax.device_put(weights, parallel.replicated(mesh))
    state = parallel.jit_init(task, mesh)(key, batch)
    step = parallel.compile_step(parallel.make_step(task, mesh), state, *rest)
    metadata = untuned_metadata(config, task.model)

    def block(*, saves: bool) -> dict[str, float]:
        nonlocal state
        began = {name: clock() for name, clock in CLOCKS.items()}
        with CheckpointWriter(folder) as writer:
            for _ in range(steps):
                state, metrics = step(state, *rest)
            jax.block_until_ready(metrics)
            if saves:
                writer.save("last", state, metadata)
        return {name: clock() - began[name] for name, clock in CLOCKS.items()}

    return block


if __name__ == "__main__":
    sys.exit(main())
