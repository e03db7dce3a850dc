"""Scores of a run on fixed excerpts of songs it never heard, or on whole songs, between floor and
ceiling (systems.py).

What is tuned comes with the checkpoint; nothing is chosen on the scored split.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from ml_collections import ConfigDict
from tqdm import tqdm

from cerberus_jax.checkpoint import check_same_network, locate
from cerberus_jax.inference import Predictor
from data_pipeline.audio_io import whole_file
from data_pipeline.plan import Excerpt, Planner
from experiments import data
from experiments.command_line import CommandFlags, run_command
from experiments.compile_cache import keep_compiled
from experiments.config import build_config, flatten, grid_of, heads_of, load_run_config, to_json
from experiments.excerpt_files import EstimateFiles, export_excerpts
from experiments.huge_pages import restart_with_huge_pages
from experiments.result_table import results_markdown, results_table
from experiments.scoring import Reference, score_item, summarise
from experiments.songs import whole_songs
from experiments.systems import (
    BATCH_SIZE,
    System,
    assignment_of,
    excerpt_systems,
    file_systems,
    song_systems,
)
from experiments.train import model_of

RESULTS_FILE = "results.json"
SONGS_FILE = "results_songs.json"
UNSEEN_SPLIT = "test_unseen"  # MiniSlakh's songs with programs that training never heard
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "mir_eval")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_evaluate, _flags(), argv=argv, on_interrupt="Stopped. Nothing written.")


def evaluate(
    workdir: str | Path,
    *,
    step: str | int = "best",
    split: str = "test",
    data_root: str = "",
    songs: bool = False,
) -> dict:
    """Score a checkpoint of a run and write the scores into its directory, as JSON and Markdown.

    Args:
        workdir: the run's directory.
        step: 'best', 'last' or the number of a step.
        split: the split that is scored.
        data_root: the prepared data, where they have moved since training.
        songs: whole songs, heard in windows, in place of the fixed excerpts.

    Returns:
        what results.json (results_songs.json) holds: scores per instrument, their means with
        intervals, those of each item, those of the baselines, and, for excerpts of 'test', those
        of MiniSlakh's unseen programs under `splits`.

    Raises:
        FileNotFoundError: if there is no such run, checkpoint or data.
        ValueError: if the run and its checkpoint do not fit, or the split has no usable song.
    """
    workdir = Path(workdir)
    config = _with_data_root(load_run_config(workdir), data_root)
    predictor = Predictor.load(workdir, step=step)
    _check_fit(config, predictor, workdir)
    planner = _planner(config, split)
    heads = predictor.model.heads
    results = _heading(config, planner, songs=songs) | {
        "step": int(locate(workdir, step).name),
        "assignment": assignment_of(heads),
    }
    systems = song_systems(predictor) if songs else excerpt_systems(predictor, seed=config.seed)
    results |= _score_split(planner, systems, config, songs=songs)
    results["splits"] = {}
    if split == "test" and not songs and UNSEEN_SPLIT in planner.catalogue.splits:
        few = {name: systems[name] for name in ("network", "mixture")}
        try:
            unseen = _planner(config, UNSEEN_SPLIT)
            results["splits"][UNSEEN_SPLIT] = _score_split(unseen, few, config)
        except ValueError as error:  # a small data set may lack an instrument there
            print(f"{UNSEEN_SPLIT} is left out: {error}", file=sys.stderr, flush=True)
    return _write(results | _origin(config), workdir / (SONGS_FILE if songs else RESULTS_FILE))


def evaluate_files(
    workdir: str | Path, estimates: str | Path, *, split: str = "test", data_root: str = ""
) -> dict:
    """Score any tool's files on a run's excerpts and write results.json beside them.

    Args:
        workdir: the run whose excerpts were exported; it needs no checkpoint.
        estimates: a folder per excerpt, as `excerpt_files` describes.
        split, data_root: as for `evaluate`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file does not fit its excerpt.
    """
    config = _with_data_root(load_run_config(workdir), data_root)
    planner = _planner(config, split)
    files = EstimateFiles.find(estimates, tuple(config.instruments), grid_of(config).sample_rate_hz)
    systems = file_systems(files.read, grid_of(config), tuple(config.instruments))
    results = _heading(config, planner) | {"step": None, "assignment": None, "splits": {}}
    results |= _score_split(planner, systems, config)
    return _write(results | _origin(config), Path(estimates) / RESULTS_FILE)


def _heading(config: ConfigDict, planner: Planner, *, songs: bool = False) -> dict:
    rate = config.audio.sample_rate_hz
    return {
        "instruments": list(config.instruments),
        "split": planner.config.split,
        "unit": "songs" if songs else "excerpts",
        "excerpt_seconds": None if songs else planner.config.num_samples / rate,
    }


def _score_split(
    planner: Planner, systems: Mapping[str, System], config: ConfigDict, *, songs: bool = False
) -> dict:
    """Means and items of the network, and means of every other system."""
    instruments, grid, split = tuple(config.instruments), grid_of(config), planner.config.split
    if songs:
        groups, count = ([song] for song in whole_songs(planner)), None
    else:
        count = config.data.num_test_excerpts
        groups = _groups(planner.excerpts(count), BATCH_SIZE)
    scores = {name: [] for name in systems}
    ids = []
    with tqdm(total=count, desc=split, unit="item", file=sys.stderr, leave=False) as progress:
        for excerpts in groups:
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


def _groups(excerpts: Iterable[Excerpt], size: int):
    group = []
    for excerpt in excerpts:
        group.append(excerpt)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _planner(config: ConfigDict, split: str) -> Planner:
    return data.planner(config, split, excerpt_seconds=config.evaluation.excerpt_seconds)


def _with_data_root(config: ConfigDict, data_root: str) -> ConfigDict:
    return build_config(flatten(config) | {"data.root": data_root}) if data_root else config


def _check_fit(config: ConfigDict, predictor: Predictor, workdir: Path) -> None:
    pairs = (
        ("instruments", tuple(config.instruments), tuple(predictor.instruments)),
        ("audio", grid_of(config), predictor.grid),
        ("the heads of loss", heads_of(config), predictor.model.heads),
    )
    for name, wanted, found in pairs:
        if wanted != found:
            raise ValueError(
                f"{workdir}: config.json and the checkpoint differ in {name}: {wanted} and {found}"
            )
    check_same_network(predictor.params, model_of(config), f"{workdir} and its config.json")


def _write(results: dict, path: Path) -> dict:
    """JSON, and the table beside it as Markdown."""
    with whole_file(path) as part:
        part.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    with whole_file(path.with_suffix(".md")) as part:
        part.write_text(results_markdown(results))
    return results


def _origin(config: ConfigDict) -> dict:
    return {"config": json.loads(to_json(config)), "commit": _commit(), "versions": _versions()}


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
        f"DIR/{RESULTS_FILE} and the table as Markdown. Beside the network's scores: the\n"
        "unprocessed mixture, the untrained network, and the oracle mask with the decoded\n"
        "reference roll. To score another tool on the same excerpts: --export_excerpts=FOLDER,\n"
        "run the tool on FOLDER/mixtures, then --estimates=FOLDER_OF_THE_TOOL.",
    )
    flags.string("workdir", "", "The run's directory.")
    flags.string("step", "best", "The checkpoint: best, last, or the number of a step.")
    flags.string("split", "test", "The split to score.")
    flags.string("data_root", "", "The prepared data, if they have moved since training.")
    flags.boolean("excerpts", "Score the fixed excerpts of the split (what is done anyway).")
    flags.boolean(
        "songs", f"Score whole songs, heard in windows; writes {SONGS_FILE} in place of the other."
    )
    flags.string(
        "export_excerpts",
        "",
        "Write the excerpts here and score nothing: mixtures/NUMBER.wav, and for each a folder\n"
        "references/NUMBER with a wav per instrument and transcription.mid.",
    )
    flags.string(
        "estimates",
        "",
        "Score these files in place of the network: a folder per excerpt, NUMBER, with a wav per\n"
        "instrument, or transcription.mid, or both, as experiments.separate writes them.",
    )
    return flags


def _evaluate(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/demo")
    chosen = [name for name in ("excerpts", "songs") if flags[name].value]
    chosen += [name for name in ("export_excerpts", "estimates") if flags[name].value]
    if len(set(chosen) - {"excerpts"}) > 1 or {"excerpts", "songs"} <= set(chosen):
        raise ValueError(f"--{' and --'.join(chosen)} do not go together; give one of them")
    keep_compiled()
    where = {"split": flags.split, "data_root": flags.data_root}
    if flags.export_excerpts:
        config = _with_data_root(load_run_config(flags.workdir), flags.data_root)
        planner = _planner(config, flags.split)
        count = config.data.num_test_excerpts
        export_excerpts(planner, flags.export_excerpts, count=count)
        print(f"Written: {count} excerpts into {flags.export_excerpts}")
        return
    if flags.estimates:
        results = evaluate_files(flags.workdir, flags.estimates, **where)
        file = Path(flags.estimates) / RESULTS_FILE
    else:
        results = evaluate(flags.workdir, step=flags.step, songs=flags.songs, **where)
        file = Path(flags.workdir) / (SONGS_FILE if flags.songs else RESULTS_FILE)
    print(results_table(results))
    print(f"Written: {file}, {file.with_suffix('.md')}")


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
