"""Scores of a run on fixed excerpts of songs it never heard, or on whole songs, between floor and
ceiling (systems.py).

What is tuned comes with the checkpoint; nothing is chosen on the scored split.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.checkpoint import is_tuned, locate
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from cerberus_jax.parameter_shapes import check_same_network
from data_pipeline.cli.progress import Progress
from data_pipeline.io.files import check_writable
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import build_config, flatten, grid_of, heads_of, load_run_config
from experiments.config.resume import other_data
from experiments.evaluation.bootstrap import song_of
from experiments.evaluation.estimate_files import EstimateFiles
from experiments.evaluation.excerpt_files import export_excerpts
from experiments.evaluation.provenance import provenance
from experiments.evaluation.result_table import (
    RESULTS_FILE,
    TEST_SPLIT,
    results_file,
    results_table,
    write_results,
)
from experiments.evaluation.scoring import Reference, score_item, summarise
from experiments.evaluation.systems import (
    System,
    assignment_of,
    excerpt_systems,
    file_systems,
    in_groups,
    song_systems,
)
from experiments.evaluation.unseen import UNSEEN_SPLIT, unseen_planner
from experiments.evaluation.whole_songs import whole_songs
from experiments.runtime import distributed
from experiments.runtime.compile_cache import keep_compiled
from experiments.training import data, embedded
from experiments.training.task import model_of


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = {"argv": argv, "on_interrupt": "Stopped. Nothing written."}
    return distributed.leaving(lambda: run_command(_evaluate, _flags(), **options))


def evaluate(
    workdir: str | Path,
    *,
    step: str | int = "best",
    split: str = TEST_SPLIT,
    data_root: str = "",
    excerpts: str = "",
    songs: bool = False,
) -> dict:
    """Score a checkpoint of a run and write the scores into its directory, as JSON and Markdown.

    Args:
        workdir: the run's directory.
        step: 'best', 'last' or the number of a step.
        split: the split that is scored.
        data_root: the prepared data, where they have moved since training.
        excerpts: a list written by data_pipeline.excerpts, in place of the config's.
        songs: whole songs, heard in windows, in place of the fixed excerpts.

    Returns:
        what the file (`results_file`) holds: scores per instrument, their means with intervals,
        those of each item, those of the baselines, the decoding, and, for excerpts of 'test',
        those of MiniSlakh's unseen programs under `splits`.

    Raises:
        FileNotFoundError: if there is no such run, checkpoint, data or list.
        ValueError: if the run and its checkpoint do not fit, the list does not fit the run, or the
            split has no usable song.
        OSError: if the run's directory cannot be written to, before anything is scored.
    """
    workdir = Path(workdir)
    config = run_config(workdir, data_root=data_root, excerpts=excerpts)
    checkpoint = locate(workdir, step)  # at once: training may save another meanwhile
    predictor = Predictor.load(workdir, step=step)
    _check_fit(config, predictor, workdir)
    check_writable(workdir)
    if others := embedded.other_songs(config, workdir):  # before they are rendered
        print(
            f"{others}. Those of now are scored; --data_root chooses", file=sys.stderr, flush=True
        )
    elif others := other_data(data.data_root(config), workdir):
        print(f"{others}; those of now are scored", file=sys.stderr, flush=True)
    results = {
        "step": int(checkpoint.name),
        "assignment": assignment_of(predictor.model.heads),
        "decoding": _decoding_of(predictor, checkpoint),
        "splits": {},
    }
    file = workdir / results_file(split=split, excerpts=excerpts, songs=songs)
    if songs:
        results |= _score_songs(config, split, song_systems(predictor))
        return write_results(results | provenance(config), file)
    systems = excerpt_systems(predictor, seed=config.seed)
    planner, count = data.test_excerpts(config, split)
    results |= _score_excerpts(planner, count, systems, config)
    if split == TEST_SPLIT and (unseen := unseen_planner(config, planner)):
        compared = {name: systems[name] for name in ("network", "mixture")}
        results["splits"][UNSEEN_SPLIT] = _score_excerpts(unseen, count, compared, config)
    return write_results(results | provenance(config), file)


def evaluate_files(
    workdir: str | Path,
    estimates: str | Path,
    *,
    split: str = TEST_SPLIT,
    data_root: str = "",
    excerpts: str = "",
) -> dict:
    """Score any tool's files on a run's excerpts and write the scores beside them.

    Args:
        workdir: the run whose excerpts were exported; it needs no checkpoint.
        estimates: a folder per excerpt, as `estimate_files` describes.
        split, data_root, excerpts: as for `evaluate`.

    Raises:
        FileNotFoundError: if an excerpt has no file.
        ValueError: if a file does not fit its excerpt, or is of none.
        OSError: if nothing can be written beside the files, before anything is scored.
    """
    config = run_config(workdir, data_root=data_root, excerpts=excerpts)
    planner, count = data.test_excerpts(config, split)
    instruments, grid = tuple(config.instruments), grid_of(config)
    files = EstimateFiles.find(estimates, instruments, grid.sample_rate_hz, count=count)
    check_writable(estimates)
    systems = file_systems(files.read, grid, instruments)
    results = {"step": None, "assignment": None, "decoding": None, "splits": {}}
    results |= _score_excerpts(planner, count, systems, config)
    results["gaps"] = files.gaps()
    file = Path(estimates) / results_file(split=split, excerpts=excerpts)
    return write_results(results | provenance(config), file)


def run_config(workdir: str | Path, *, data_root: str = "", excerpts: str = "") -> ConfigDict:
    """The config of a run, with another place of its data or another list of excerpts if given."""
    config = load_run_config(workdir)
    places = (("data.root", data_root), ("evaluation.excerpts", excerpts))
    overrides = {field: place for field, place in places if place}
    return build_config(flatten(config) | overrides) if overrides else config


def _score_songs(config: ConfigDict, split: str, systems: Mapping[str, System]) -> dict:
    groups = ([song] for song in whole_songs(*data.song_plan(config, split)))
    scores = _score(groups, None, systems, config, split=split)
    return {"unit": "songs", "excerpt_seconds": None} | scores


def _score_excerpts(
    planner: Planner, count: int, systems: Mapping[str, System], config: ConfigDict
) -> dict:
    groups = in_groups(read_excerpts(planner, count))
    seconds = planner.config.num_samples / config.audio.sample_rate_hz
    heading = {"unit": "excerpts", "excerpt_seconds": seconds}
    return heading | _score(groups, count, systems, config, split=planner.config.split)


def _score(
    groups: Iterable[list[Excerpt]],
    count: int | None,
    systems: Mapping[str, System],
    config: ConfigDict,
    *,
    split: str,
) -> dict:
    """Means and items of the network, and means of every other system."""
    instruments, grid = tuple(config.instruments), grid_of(config)
    scores = {name: [] for name in systems}
    ids = []
    with Progress(total=count, desc=split, unit="item", leave=False) as progress:
        for excerpts in groups:
            ids += [excerpt.id for excerpt in excerpts]
            references = [Reference.of(excerpt, instruments) for excerpt in excerpts]
            for name, system in systems.items():
                scores[name] += [
                    score_item(estimate, reference, instruments=instruments, grid=grid)
                    for estimate, reference in zip(system(excerpts), references, strict=True)
                ]
            progress.update(len(excerpts))
    songs = [song_of(id_) for id_ in ids]
    summaries = {name: summarise(items, instruments, songs=songs) for name, items in scores.items()}
    items = scores["network"]
    return {
        "instruments": list(instruments),
        "split": split,
        "num_items": len(items),
        **summaries.pop("network"),
        "baselines": summaries,
        "items": [{"id": id_, "metrics": item} for id_, item in zip(ids, items, strict=True)],
    }


def _check_fit(config: ConfigDict, predictor: Predictor, workdir: Path) -> None:
    pairs = (
        ("instruments", tuple(config.instruments), tuple(predictor.instruments)),
        ("audio", grid_of(config), predictor.grid),
        ("the heads of loss", heads_of(config), predictor.model.heads),
    )
    for name, of_config, of_checkpoint in pairs:
        if of_config != of_checkpoint:
            raise ValueError(
                f"{workdir}: config.json and the checkpoint differ in {name}: {of_config} and "
                f"{of_checkpoint}"
            )
    check_same_network(predictor.params, model_of(config), f"{workdir} and its config.json")


def _decoding_of(predictor: Predictor, checkpoint: Path) -> dict | None:
    """How rolls become notes, for who reads the scores; None for a network without rolls."""
    if not transcribes(predictor.model.heads):
        return None
    settings = {name: asdict(config) for name, config in predictor.decoding.items()}
    return {"tuned": is_tuned(checkpoint), "per_instrument": settings}


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.evaluate --workdir=DIR [--step=best|last|N] [--split=test]",
        f"Score a trained network on the fixed excerpts of a split: prints a table and writes\n"
        f"DIR/{RESULTS_FILE} and the table as Markdown; what is not the run's own test goes into\n"
        "a file of its own, such as results_validation.json. Beside the network's scores: the\n"
        "unprocessed mixture, the untrained network, and the oracle mask with the decoded\n"
        "reference roll. To score another tool on the same excerpts: --export_excerpts=FOLDER,\n"
        "run the tool on FOLDER/mixtures, then --estimates=FOLDER_OF_THE_TOOL.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.string("step", "best", "The checkpoint: best, last, or the step of one of these.")
    flags.string("split", TEST_SPLIT, "The split to score.")
    flags.path("data_root", "", "The prepared data, if they have moved since training.")
    flags.boolean("excerpts", "Score the fixed excerpts of the split (what is done anyway).")
    flags.boolean(
        "songs", f"Score whole songs, heard in windows; writes {results_file(songs=True)}."
    )
    flags.path(
        "excerpt_list",
        "",
        "Take the excerpts of this file, written by data_pipeline.excerpts, not the config's.",
    )
    flags.path(
        "export_excerpts",
        "",
        "Write the excerpts here and score nothing: mixtures/NUMBER.wav, and for each a folder\n"
        "references/NUMBER with a wav per instrument and transcription.mid.",
    )
    flags.path(
        "estimates",
        "",
        "Score these files in place of the network: a folder per excerpt, NUMBER, with a wav per\n"
        "instrument, or transcription.mid, or both, as experiments.separate writes them. FLAC and\n"
        "a MIDI file per instrument do as well; what is missing is not scored.",
    )
    distributed.add_flags(flags)
    return flags


def _evaluate(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/demo")
    modes = ("excerpts", "songs", "export_excerpts", "estimates")
    chosen = [name for name in modes if flags[name].value]
    if len(set(chosen) - {"excerpts"}) > 1 or {"excerpts", "songs"} <= set(chosen):
        raise ValueError(f"--{' and --'.join(chosen)} do not go together; give one of them")
    if flags.songs and flags.excerpt_list:
        raise ValueError("--songs and --excerpt_list do not go together; give one of them")
    distributed.arguments(flags)
    if flags.distributed:
        distributed.join(flags)
        if not distributed.is_first():  # it waits for the first as the command ends
            return
    keep_compiled()
    places = {"data_root": flags.data_root, "excerpts": flags.excerpt_list}
    where = {"split": flags.split, **places}
    if flags.export_excerpts:
        planner, count = data.test_excerpts(run_config(flags.workdir, **places), flags.split)
        export_excerpts(planner, flags.export_excerpts, count=count)
        print(f"Written: {count} excerpts into {flags.export_excerpts}")
        return
    if flags.estimates:
        results = evaluate_files(flags.workdir, flags.estimates, **where)
    else:
        results = evaluate(flags.workdir, step=flags.step, songs=flags.songs, **where)
    print(results_table(results))
    name = results_file(split=flags.split, excerpts=flags.excerpt_list, songs=flags.songs)
    file = Path(flags.estimates or flags.workdir) / name
    print(f"Written: {file}, {file.with_suffix('.md')}")


if __name__ == "__main__":
    sys.exit(main())
