"""Can the whole network learn one batch by heart? On genuine music, at full size, without dropout.

    python -m experiments.studies.overfit --root=SLAKH

A network, a loss or a target that is wrong anywhere cannot pass: the losses must fall by nine
tenths, the masks must come near the oracle's, and the rolls must be right. It prints losses, SI-SDR
improvement and frame F1 at the start and at the end, beside those aims.
"""

import functools
import json
import operator
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from cerberus_jax import metrics, parallel, steps
from cerberus_jax.targets import make_targets, source_waveforms
from data_pipeline.cli.progress import Progress
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import prepared_folder
from data_pipeline.reading.numpy_reader import numpy_batches
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import grid_of, heads_of, load_config
from experiments.evaluation.markdown import markdown_table
from experiments.evaluation.systems import oracle_sources
from experiments.train import task_of

SET = "sets/set2.py"
LOSSES = ("deep_clustering", "mask_inference", "transcription")

# What a right implementation reaches on one batch.
MAX_LOSS_RATIO = 0.1
MIN_SHARE_OF_ORACLE = 0.8
MIN_FRAME_F1 = 0.95

OVERRIDES = {
    "model.dropout": 0.0,
    "loss.mask_inference": 0.3,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_steps": 100,
    "batch_size": 3,
    "excerpt_seconds": 1.28,
    "train.num_steps": 4000,
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_overfit, _flags(), argv=argv, with_config=True)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.studies.overfit --root=DIR [--config.FIELD=VALUE ...]",
        f"Train the network of {SET} without dropout on one fixed batch and print what it has\n"
        "learned. The excerpts are spread evenly over the splits of --root. Size and length:\n"
        "--config.batch_size, --config.train.num_steps and any other field of the config.",
    )
    flags.path("root", "", "A tree of Slakh's shape, or a directory made by data_pipeline.prepare.")
    flags.path("out", "", "JSON file that gets the printed figures too.")
    return flags


def _overfit(flags: CommandFlags, overrides: Overrides) -> None:
    if not flags.root:
        raise ValueError("--root is missing: a tree of Slakh's shape, or a prepared directory")
    config = load_config(SET, [*OVERRIDES.items(), *overrides])
    batch, ids = fixed_batch(Path(flags.root), config)
    print(f"Batch: {len(ids)} excerpts of {config.excerpt_seconds} s: {', '.join(ids)}")
    figures = overfit(config, batch)
    print(table(figures, config.instruments))
    if flags.out:
        Path(flags.out).write_text(json.dumps(figures, indent=1))


def fixed_batch(root: Path, config: ConfigDict) -> tuple[dict, list[str]]:
    """One batch drawn evenly from all splits of `root` that have every instrument, and its ids."""
    with tempfile.TemporaryDirectory() as folder:
        if not any(prepared_folder(home) for home in root.glob("*")):
            prepare("slakh2100", root, out=folder, progress=False)
            root = Path(folder)
        catalogue = Catalogue.load(root)
        splits = catalogue.splits
        if config.batch_size % len(splits):
            raise ValueError(
                f"batch_size: a multiple of the {len(splits)} splits ({', '.join(splits)}) "
                f"expected, got {config.batch_size}"
            )
        batches, ids = [], []
        for split in splits:
            planner = _planner(catalogue, split, config, size=config.batch_size // len(splits))
            batches.append(next(iter(numpy_batches(planner, num_steps=1))))
            ids += [f"{split}/{name}" for name in planner.batch(0).ids]
    num_notes = max(batch["notes"].shape[2] for batch in batches)
    for batch in batches:
        missing = num_notes - batch["notes"].shape[2]
        batch["notes"] = np.pad(batch["notes"], [(0, 0), (0, 0), (0, missing), (0, 0)])
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}, ids


def _planner(catalogue: Catalogue, split: str, config: ConfigDict, *, size: int) -> Planner:
    return Planner(
        catalogue,
        PlanConfig(
            instruments=tuple(config.instruments),
            grid=grid_of(config),
            num_samples=round(config.excerpt_seconds * config.audio.sample_rate_hz),
            batch_size=size,
            seed=config.data.seed,
            coherent_probability=1.0,
            gain_db=0.0,
            active_rms_db=config.data.active_rms_db,
            split=split,
            fixed=True,
            corpora=(),
        ),
    )


def overfit(config: ConfigDict, batch: dict) -> dict:
    """Train on `batch` alone; returns the figures that `table` prints."""
    task = task_of(config)
    mesh = parallel.make_mesh(jax.devices()[:1])
    weights = {name: jnp.float32(config.loss[name]) for name in heads_of(config)}
    weights = jax.device_put(weights, parallel.replicated(mesh))
    batch = parallel.put_batch(batch, mesh)
    state = parallel.jit_init(task, mesh)(jax.random.key(config.seed), batch)
    examine = jax.jit(functools.partial(_examine, task=task))
    start = examine(state.params, batch, weights)
    step = parallel.jit_step(task, mesh)
    started = time.monotonic()
    progress = Progress(range(config.train.num_steps), "overfit", unit="step")
    for number in progress:
        state, values = step(state, batch, jax.random.key(config.seed), weights)
        if number % 50 == 0:
            losses = (f"{name} {float(values[name]):.4f}" for name in LOSSES)
            progress.set_postfix_str(", ".join(losses))
    jax.block_until_ready(state)
    minutes = (time.monotonic() - started) / 60
    end = examine(state.params, batch, weights)
    return {
        "device": jax.devices()[0].device_kind,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "steps": config.train.num_steps,
        "minutes": minutes,
        "start": _figures(start, batch),
        "end": _figures(end, batch),
    }


def _examine(params: dict, batch: dict, weights: dict, *, task: steps.Task) -> dict:
    """Losses of the batch, its waveforms, the network's and the oracle's estimates, both rolls."""
    sources = source_waveforms(batch["sources"], batch["gains"])
    grid, head = task.model.grid, task.heads["transcription"]
    targets = make_targets(sources, batch["notes"], grid=grid, heads=[head])
    losses = steps.eval_step(params, batch, weights, task=task)
    estimates, rolls = steps.predict_step(params, sources.sum(1), model=task.model)
    silence = jnp.full_like(rolls.frames, -1e3).swapaxes(1, 2)
    return {
        "losses": {name: losses[name].mean() for name in LOSSES},
        "all_zero_transcription": head.loss(silence, targets, 0).mean(),
        "sources": sources,
        "network": estimates,
        "oracle": oracle_sources(sources, grid),
        "rolls": rolls.frames > 0.5,
        "reference_rolls": targets["roll"],
    }


def _figures(examined: dict, batch: dict) -> dict:
    sources = np.asarray(examined["sources"])
    mixture = np.broadcast_to(sources.sum(1, keepdims=True), sources.shape)
    before = np.asarray(metrics.si_sdr(mixture, sources))
    improvement = {
        name: np.nanmean(np.asarray(metrics.si_sdr(examined[name], sources)) - before, axis=0)
        for name in ("network", "oracle")
    }
    rolls, reference = np.asarray(examined["rolls"]), np.asarray(examined["reference_rolls"])
    hits = (rolls & reference).sum((2, 3))
    counts = rolls.sum((2, 3)) + reference.sum((2, 3))
    frame_f1 = np.where(counts > 0, 2 * hits / np.maximum(counts, 1), np.nan)
    return {
        "losses": {name: float(value) for name, value in examined["losses"].items()},
        "all_zero_transcription": float(examined["all_zero_transcription"]),
        "si_sdr_improvement": improvement["network"].tolist(),
        "oracle_si_sdr_improvement": improvement["oracle"].tolist(),
        "frame_f1": np.nanmean(frame_f1, axis=0).tolist(),
    }


def table(figures: dict, instruments: tuple[str, ...]) -> str:
    """The figures as Markdown tables; each aim with what was reached."""
    start, end = figures["start"], figures["end"]
    ratios = {name: end["losses"][name] / start["losses"][name] for name in LOSSES}
    losses = [
        [name, f"{start['losses'][name]:.5f}", f"{end['losses'][name]:.5f}", f"{ratio:.3f}"]
        for name, ratio in ratios.items()
    ]
    columns = [
        end[name] for name in ("si_sdr_improvement", "oracle_si_sdr_improvement", "frame_f1")
    ]
    network, oracle, f1 = means = [float(np.mean(column)) for column in columns]
    scores = zip(
        [*instruments, "mean"], *map(operator.add, columns, [[m] for m in means]), strict=True
    )
    zero = end["losses"]["transcription"] / end["all_zero_transcription"]
    aims = [
        ("deep_clustering, end / start", ratios["deep_clustering"], MAX_LOSS_RATIO, operator.le),
        ("mask_inference, end / start", ratios["mask_inference"], MAX_LOSS_RATIO, operator.le),
        ("transcription, end / all-zero rolls", zero, MAX_LOSS_RATIO, operator.le),
        (
            "SI-SDR improvement, network / oracle",
            network / oracle,
            MIN_SHARE_OF_ORACLE,
            operator.ge,
        ),
        ("frame F1", f1, MIN_FRAME_F1, operator.ge),
    ]
    verdicts = [
        f"{'ok  ' if reached(value, aim) else 'MISS'} {name}: {value:.3f} "
        f"(at {'most' if reached is operator.le else 'least'} {aim})"
        for name, value, aim, reached in aims
    ]
    return "\n".join(
        [
            f"{figures['parameters'] / 1e6:.1f} M parameters, {figures['steps']} steps, "
            f"{figures['minutes']:.1f} minutes on {figures['device']}",
            "",
            markdown_table(["loss", "start", "end", "end / start"], losses),
            "",
            markdown_table(
                ["instrument", "SI-SDR improvement dB", "oracle", "frame F1"],
                [[name, f"{a:.1f}", f"{b:.1f}", f"{c:.3f}"] for name, a, b, c in scores],
            ),
            "",
            *verdicts,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
