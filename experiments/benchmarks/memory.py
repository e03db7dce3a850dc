"""Temporary memory of the compiled training step, and of the deep-clustering path alone.

    python -m experiments.benchmarks.memory --device=cpu|gpu

The figures are XLA's own account of a compiled function (`memory_analysis`: what it needs beside
its inputs and outputs), so nothing runs and there is no noise. Looked at clip by clip, the heads
need hardly more for a large batch than for a small one. Beside them stand the readable losses
(losses.py, on the whole batch), which are what autodiff makes of the same network.
"""

import dataclasses
import functools
import sys
import time
from dataclasses import replace

import jax
import jax.numpy as jnp

from cerberus_jax import heads, losses, parallel
from cerberus_jax.joint_loss import head_losses
from cerberus_jax.products import PRECISIONS
from cerberus_jax.steps import Task, init_state
from cerberus_jax.targets import Targets, bin_weights, make_targets, source_waveforms
from experiments.benchmarks import command, machine, ours
from experiments.benchmarks.figures import Figures, row
from experiments.benchmarks.workload import NUM_PITCHES, SMALL, Workload, loader_batch
from experiments.config.command_line import CommandFlags, run_command

CLUSTERING, HEAD = "deep_clustering", heads.HEAD_OF_LOSS["deep_clustering"]
BATCHES = (8, 16, 32)
FRAMES, FRAMES_SMALL = (313, 400), (41,)
OUT_OF_TIME = "not compiled: the time (--budget) was up"
STEP_BATCH = {"cpu": 8, "gpu": 64}
COLUMNS = {
    "compiled function": ["part", ""],
    "clips": ["batch", ""],
    "frames": ["frames", ""],
    "clips a turn": ["microbatch_size", ""],
    "precision": ["precision", ""],
    "temporary MB": ["median", ".1f"],
    "of the readable losses": ["share", ".3f"],
    "of the smallest batch": ["growth", ".3f"],
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.memory [--device=cpu|gpu] [--out=FILE.json]",
        "Temporary memory of the compiled gradient of the deep-clustering loss by batch, and of\n"
        "the whole training step. Compiles only, nothing runs.",
    )
    flags.string("device", "cpu", "What to compile for: cpu or gpu.")
    flags.boolean("small", "A tiny network, to try the command.")
    flags.string("budget", "", "Minutes after which nothing more is compiled (default: no limit).")
    command.output_flags(flags)
    return run_command(_memory, flags, argv=argv)


def _memory(flags: CommandFlags) -> None:
    machine.check_device(flags.device)
    end = command.end(flags)
    found = command.known_machine(flags.device, small=flags.small, file=flags.machine)
    jax.config.update("jax_platforms", machine.ENVIRONMENT[flags.device]["JAX_PLATFORMS"])
    work = SMALL if flags.small else Workload()
    config = dataclasses.asdict(replace(work, batch_size=0)) | {"device": flags.device}
    figures = Figures("memory", found, config, columns=COLUMNS)
    batch = work.batch_size if flags.small else STEP_BATCH[flags.device]
    parts = [
        functools.partial(clustering_rows, with_frames(work, frames))
        for frames in (FRAMES_SMALL if flags.small else FRAMES)
    ] + [
        functools.partial(step_rows, replace(work, batch_size=batch), precision)
        for precision in (PRECISIONS[:1] if flags.small else PRECISIONS)
    ]
    for number, rows in enumerate(parts):
        if number and time.monotonic() > end:
            figures.notes.append(f"{len(parts) - number} of {len(parts)} parts: {OUT_OF_TIME}")
            break
        figures.rows += rows()
        command.keep(figures, flags.out)
    command.finish(figures, flags.out)


def clustering_rows(work: Workload) -> list[dict]:
    """The gradient of the deep-clustering loss at every batch, one clip a turn and readable."""
    rows = []
    for microbatch_size in (1, 0):
        works = [replace(work, batch_size=batch) for batch in BATCHES]
        sizes = [clustering_mb(one, microbatch_size=microbatch_size) for one in works]
        rows += [
            _row("clustering gradient", one, microbatch_size, size, growth=size / sizes[0])
            for one, size in zip(works, sizes, strict=True)
        ]
    return _with_shares(rows)


def step_rows(work: Workload, precision: str) -> list[dict]:
    """The whole training step, as training runs it, one clip a turn, and with readable losses."""
    turns = sorted({1, ours.task(work).microbatch_size})
    sizes = {turn: step_mb(work, microbatch_size=turn, precision=precision) for turn in turns}
    sizes[0] = step_mb(work, readable=True, precision=precision)
    return _with_shares(
        [
            _row("training step", work, turn, size, precision=precision)
            for turn, size in sizes.items()
        ]
    )


def _row(part, work, microbatch_size, megabytes, *, precision="float32", **more):
    turn = f"{microbatch_size} a turn" if microbatch_size else "readable losses"
    return row(
        f"{part}, {work.batch_size} x {work.num_frames} frames, {turn}, {precision}",
        unit="MB",
        better="lower",
        median=megabytes,
        samples=[megabytes],
        part=part,
        batch=str(work.batch_size),
        frames=str(work.num_frames),
        microbatch_size=str(microbatch_size or "all, readable losses"),
        precision=precision,
        **more,
    )


def _with_shares(rows):
    """Each relative to the readable losses at its batch and precision: the last such row."""
    whole = {(one["batch"], one["precision"]): one["median"] for one in rows}
    return [one | {"share": one["median"] / whole[one["batch"], one["precision"]]} for one in rows]


def clustering_mb(work: Workload, *, microbatch_size: int) -> float:
    """Temporary memory in MB of the gradient of the deep-clustering loss, with respect to features
    and head; microbatch_size 0 is the readable loss on the whole batch."""
    task = ours.task(work, microbatch_size=microbatch_size or work.batch_size)

    def total(features, params, targets):
        if microbatch_size:
            return head_losses(
                features,
                {HEAD: params},
                targets,
                {CLUSTERING: jnp.float32(0.1)},
                microbatch_size=microbatch_size,
                options=task.options,
            )[0].mean()
        vectors = heads.embed(params, features, activation=task.options.embedding_activation)
        return 0.1 * _clustering_loss(vectors.swapaxes(2, 3), targets).mean()

    features = _shape(work.batch_size, work.num_frames, 2 * work.hidden)
    shape = (work.embedding_dim, work.num_bins)
    params = {"kernel": _shape(2 * work.hidden, *shape), "bias": _shape(*shape)}
    return _temporary_mb(jax.jit(jax.grad(total, (0, 1))), features, params, _targets(work))


def step_mb(work: Workload, *, readable: bool = False, **settings) -> float:
    """Temporary memory in MB of a whole training step; `readable` takes the losses of losses.py on
    the whole batch in place of joint_loss.py."""
    task, mesh = ours.task(work, **settings), parallel.make_mesh()
    step = parallel.jit_step(task, mesh)
    if readable:
        step = jax.jit(functools.partial(readable_step, task=task), donate_argnums=0)
    batch, key = loader_batch(work), jax.random.key(0)
    state = jax.eval_shape(lambda b: init_state(task, key, b), batch)
    weights = {name: jnp.float32(value) for name, value in ours.LOSS_WEIGHTS.items()}
    return _temporary_mb(step, state, batch, key, weights)


def readable_step(state, batch, key, weights, *, task: Task):
    """`steps.train_step` with the readable losses, as autodiff sees them."""
    sources = source_waveforms(batch["sources"], batch["gains"])
    grid, kind = task.model.grid, task.mask_target
    targets = make_targets(sources, batch["notes"], grid=grid, mask_target=kind)

    def mean_loss(params):
        output = task.model.apply(
            {"params": params}, targets.mixture_magnitude, train=True, rngs={"dropout": key}
        )
        parts = {
            CLUSTERING: _clustering_loss(output.embedding, targets),
            "mask_inference": losses.mask_inference_loss(
                output.mask, targets.mixture_magnitude, targets.target_magnitude
            ),
            "transcription": losses.transcription_loss(output.roll_logits, targets.roll),
        }
        return sum(weights[name] * parts[name] for name in parts).mean()

    loss, grads = jax.value_and_grad(mean_loss)(state.params)
    return state.apply_gradients(grads, task.optimizer)[0], loss


def _clustering_loss(embedding, targets):
    num_sources = targets.target_magnitude.shape[1]
    labels = jax.nn.one_hot(targets.assignment, num_sources, dtype=embedding.dtype)
    weights = bin_weights(targets.mixture_magnitude)
    return losses.deep_clustering_loss(embedding, labels, weights)


def _targets(work) -> Targets:
    """Shapes in place of arrays."""
    batch, bins = work.batch_size, (work.num_frames, work.num_bins)
    per_source = (batch, work.num_instruments, work.num_frames)
    return Targets(
        mixture_magnitude=_shape(batch, *bins),
        target_magnitude=_shape(*per_source, work.num_bins),
        assignment=_shape(batch, *bins, dtype=jnp.int32),
        roll=_shape(*per_source, NUM_PITCHES, dtype=jnp.bool_),
    )


def _shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def _temporary_mb(function, *args) -> float:
    return function.lower(*args).compile().memory_analysis().temp_size_in_bytes / 1e6


def with_frames(work: Workload, frames: int) -> Workload:
    """The workload with clips of so many frames."""
    return replace(work, seconds=(frames - 1) * work.hop / work.sample_rate_hz)


if __name__ == "__main__":
    sys.exit(main())
