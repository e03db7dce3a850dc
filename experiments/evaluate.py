"""Scores of a run on fixed excerpts of songs it never heard, floor and ceiling beside them.

The floor: the mixture itself, and the same network with fresh parameters. The ceiling: the
truncated phase-sensitive mask, about the best a mask between 0 and 1 can do, and the decoded
reference roll.
Thresholds come with the checkpoint; nothing is chosen on the scored split.
"""

import functools
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict
from tqdm import tqdm

from cerberus_jax.checkpoint import locate
from cerberus_jax.decoding import decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from cerberus_jax.stft import istft, stft
from cerberus_jax.targets import mask_targets
from data_pipeline.audio_io import whole_file
from data_pipeline.plan import Excerpt, Planner
from data_pipeline.transforms import draw_roll, note_frames
from experiments import data
from experiments.command_line import CommandFlags, hide_gpus_from_tensorflow, run_command
from experiments.config import build_config, flatten, grid_of, load_run_config, to_json
from experiments.result_table import results_table
from experiments.scoring import Estimate, Reference, score_item, summarise

RESULTS_FILE = "results.json"
UNSEEN_SPLIT = "test_unseen"  # MiniSlakh's songs with programs that training never heard
BATCH_SIZE = 8
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "mir_eval")

System = Callable[[Sequence[Excerpt]], list[Estimate]]


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_evaluate, _flags(), argv=argv, on_interrupt="Stopped. Nothing written.")


def evaluate(
    workdir: str | Path, *, step: str | int = "best", split: str = "test", data_root: str = ""
) -> dict:
    """Score a checkpoint of a run and write results.json into its directory.

    Args:
        workdir: the run's directory.
        step: 'best', 'last' or the number of a step.
        split: the split whose excerpts are scored.
        data_root: the prepared data, where they have moved since training.

    Returns:
        what results.json holds: scores per instrument, their means, those of each item, those of
        the baselines, and, if `split` is 'test', those of MiniSlakh's unseen programs under
        `splits`.

    Raises:
        FileNotFoundError: if there is no such run, checkpoint or data.
        ValueError: if the run and its checkpoint do not fit, or the split has no usable song.
    """
    workdir = Path(workdir)
    config = _with_data_root(load_run_config(workdir), data_root)
    predictor = Predictor.load(workdir, step=step)
    _check_fit(config, predictor, workdir)
    planner = _planner(config, split)
    systems = _systems(predictor, seed=config.seed)
    count = config.data.num_test_excerpts
    results = {
        "instruments": list(predictor.instruments),
        "split": split,
        "step": int(locate(workdir, step).name),
        "excerpt_seconds": planner.config.num_samples / predictor.grid.sample_rate_hz,
    }
    results |= _score_split(planner, systems, predictor, count=count)
    results["splits"] = {}
    if split == "test" and UNSEEN_SPLIT in planner.catalogue.splits:
        few = {name: systems[name] for name in ("network", "mixture")}
        try:
            unseen = _planner(config, UNSEEN_SPLIT)
            results["splits"][UNSEEN_SPLIT] = _score_split(unseen, few, predictor, count=count)
        except ValueError as error:  # a small data set may lack an instrument there
            print(f"{UNSEEN_SPLIT} is left out: {error}", file=sys.stderr, flush=True)
    results |= {
        "config": json.loads(to_json(config)),
        "commit": _commit(),
        "versions": _versions(),
    }
    with whole_file(workdir / RESULTS_FILE) as part:
        part.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    return results


def _score_split(
    planner: Planner, systems: Mapping[str, System], predictor: Predictor, *, count: int
) -> dict:
    """Means and items of the network, and means of every other system, on `count` excerpts."""
    instruments, grid = predictor.instruments, predictor.grid
    scores = {name: [] for name in systems}
    ids = []
    split = planner.config.split
    with tqdm(total=count, desc=split, unit="excerpt", file=sys.stderr, leave=False) as progress:
        for excerpts in _groups(planner.excerpts(count), BATCH_SIZE):
            ids += [excerpt.id for excerpt in excerpts]
            references = [
                Reference(e.sources, dict(zip(instruments, e.notes, strict=True))) for e in excerpts
            ]
            for name, system in systems.items():
                scores[name] += [
                    score_item(estimate, reference, instruments=instruments, grid=grid)
                    for estimate, reference in zip(system(excerpts), references, strict=True)
                ]
            progress.update(len(excerpts))
    items = scores.pop("network")
    return {
        "num_items": len(items),
        **summarise(items, instruments),
        "baselines": {name: summarise(found, instruments) for name, found in scores.items()},
        "items": [{"id": id_, "metrics": item} for id_, item in zip(ids, items, strict=True)],
    }


def _systems(predictor: Predictor, *, seed: int) -> dict[str, System]:
    """What is scored, by the name that results.json gives it."""
    untrained = Predictor.untrained(predictor.model, seed=seed)
    oracle = functools.partial(
        _oracle,
        grid=predictor.grid,
        instruments=predictor.instruments,
        heads=predictor.model.heads,
    )
    return {
        "network": functools.partial(_network, predictor),
        "mixture": _mixture,
        "untrained": functools.partial(_network, untrained),
        "oracle_mask": oracle,
    }


def _network(predictor: Predictor, excerpts: Sequence[Excerpt]) -> list[Estimate]:
    mixtures = _stack([excerpt.sources.sum(0) for excerpt in excerpts])
    sources, rolls = predictor.predict_batch(mixtures)
    return [
        Estimate(
            sources=None if sources is None else sources[k],
            notes=None if rolls is None else predictor.decode(rolls[k]),
        )
        for k in range(len(excerpts))
    ]


def _mixture(excerpts: Sequence[Excerpt]) -> list[Estimate]:
    return [
        Estimate(np.broadcast_to(excerpt.sources.sum(0), excerpt.sources.shape))
        for excerpt in excerpts
    ]


def _oracle(
    excerpts: Sequence[Excerpt],
    *,
    grid: FrameGrid,
    instruments: Sequence[str],
    heads: Sequence[str],
) -> list[Estimate]:
    """The best mask, and the reference roll decoded; only for what the network does."""
    sources, notes = [None] * len(excerpts), [None] * len(excerpts)
    if "mask_inference" in heads:
        sources = np.asarray(oracle_sources(_stack([e.sources for e in excerpts]), grid))
    if "transcription" in heads:
        num_frames = grid.num_frames(excerpts[0].sources.shape[-1])
        notes = [
            {
                name: decode(_reference_roll(found, grid, num_frames), grid)
                for name, found in zip(instruments, excerpt.notes, strict=True)
            }
            for excerpt in excerpts
        ]
    return [Estimate(sources[k], notes[k]) for k in range(len(excerpts))]


@functools.partial(jax.jit, static_argnums=1)
def oracle_sources(sources: Float[Array, "b s n"], grid: FrameGrid) -> Float[Array, "b s n"]:
    """The mixture through the truncated phase-sensitive mask of each source."""
    sources = jnp.asarray(sources)
    mixture_spectrum = stft(sources.sum(1), grid)
    target = mask_targets(mixture_spectrum, stft(sources, grid), kind="phase_sensitive")
    phase = jnp.exp(1j * jnp.angle(mixture_spectrum))[:, None]
    return istft(target * phase, grid, sources.shape[-1])


def _reference_roll(notes: Notes, grid: FrameGrid, num_frames: int) -> Float[np.ndarray, "t p"]:
    frames = [*note_frames(notes.onsets, notes.offsets, grid), notes.pitches]
    return draw_roll(np.stack(frames, axis=1), num_frames).astype(np.float32)


def _groups(excerpts, size: int):
    group = []
    for excerpt in excerpts:
        group.append(excerpt)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays, and as many copies of the last as make a whole batch: one compiled shape."""
    return np.stack([*arrays, *[arrays[-1]] * (BATCH_SIZE - len(arrays))])


def _planner(config: ConfigDict, split: str) -> Planner:
    return data.planner(config, split, excerpt_seconds=config.evaluation.excerpt_seconds)


def _with_data_root(config: ConfigDict, data_root: str) -> ConfigDict:
    return build_config(flatten(config) | {"data.root": data_root}) if data_root else config


def _check_fit(config: ConfigDict, predictor: Predictor, workdir: Path) -> None:
    pairs = (
        ("instruments", tuple(config.instruments), tuple(predictor.instruments)),
        ("audio", grid_of(config), predictor.grid),
    )
    for name, wanted, found in pairs:
        if wanted != found:
            raise ValueError(
                f"{workdir}: config.json and the checkpoint differ in {name}: {wanted} and {found}"
            )


def _commit() -> str:
    """The commit of the code, with + where it was changed since; '' outside a repository."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in PACKAGES
    }


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.evaluate --workdir=DIR [--step=best|last|N] [--split=test]",
        f"Score a trained network on the fixed excerpts of a split: prints a table and writes\n"
        f"DIR/{RESULTS_FILE}. Beside the network's scores: the unprocessed mixture, the untrained\n"
        "network, and the oracle mask with the decoded reference roll.",
    )
    flags.string("workdir", "", "The run's directory.")
    flags.string("step", "best", "The checkpoint: best, last, or the number of a step.")
    flags.string("split", "test", "The split to score.")
    flags.string("data_root", "", "The prepared data, if they have moved since training.")
    return flags


def _evaluate(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/demo")
    hide_gpus_from_tensorflow()
    results = evaluate(flags.workdir, step=flags.step, split=flags.split, data_root=flags.data_root)
    print(results_table(results))
    print(f"Written: {Path(flags.workdir) / RESULTS_FILE}")


if __name__ == "__main__":
    sys.exit(main())
