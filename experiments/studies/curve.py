"""Scores of a run over its training time: on sounds that it hears, on others, on whole songs.

    python -m experiments.studies.curve --workdirs=COPY,COPY [--root=RAW] [--out=FILE.json]

Each COPY is a copy of the run's directory made while it trained, e.g. `cp -r runs/wide COPY`; its
last checkpoint is scored, with thresholds that are tuned on validation as at the end of a run. The
excerpts of `test` and `test_unseen` are those of `experiments.evaluate`, the songs of RAW those of
`experiments.studies.tracks`. Scores are means over instruments; of whole songs, over all pairs of a
song and an instrument.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from cerberus_jax.checkpoint import locate
from cerberus_jax.heads import transcribes
from cerberus_jax.inference import Predictor
from data_pipeline.corpora.registry import DEFAULT_CORPUS
from data_pipeline.io.files import check_writable, whole_file
from data_pipeline.planning.planner import Planner
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.excerpts import read_excerpts
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.markdown import markdown_table
from experiments.evaluation.result_table import TEST_SPLIT
from experiments.evaluation.run_facts import duration, training_seconds
from experiments.evaluation.scoring import Reference, score_item, summarise
from experiments.evaluation.systems import NETWORK, excerpt_systems, in_groups
from experiments.evaluation.unseen import UNSEEN_SPLIT, unseen_planner
from experiments.studies.tracks import POOLED, Song, score_network, songs_of
from experiments.training import data
from experiments.training.metric_log import read_metrics
from experiments.training.tuning import tune_decoding

METRICS = {"si_sdr_improvement": "SI-SDR improvement, dB", "onset_f1": "onset F1"}
SONGS = "songs"  # of --root


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.curve --workdirs=DIR[,DIR] [--root=RAW] [--out=FILE.json]",
        "Print how the scores of a run grow with its training time, of copies of its directory.",
    )
    flags.names("workdirs", [], "Copies of the run's directory, in the order of their steps.")
    flags.path("root", "", "Raw files of a corpus of Slakh's shape, to score whole songs too.")
    flags.path("out", "", "JSON file that gets the scores.")
    return run_command(_curve, flags, argv=argv)


def last_predictor(workdir: str | Path, config: ConfigDict) -> Predictor:
    """The network of the last checkpoint, with thresholds tuned on validation."""
    predictor = Predictor.load(workdir, step="last")
    if not transcribes(predictor.model.heads):
        return predictor
    count = config.data.num_validation_excerpts
    decoding = tune_decoding(predictor, data.tuning_planner(config), count=count)
    return replace(predictor, decoding=decoding)


def excerpt_scores(
    predictor: Predictor, planner: Planner, *, count: int, seed: int
) -> dict[str, float | None]:
    """Means over the instruments of the first `count` excerpts."""
    network = excerpt_systems(predictor, seed=seed)[NETWORK]
    items = [
        score_item(
            estimate,
            Reference.of(excerpt, predictor.instruments),
            instruments=predictor.instruments,
            grid=predictor.grid,
        )
        for group in in_groups(read_excerpts(planner, count))
        for excerpt, estimate in zip(group, network(group), strict=True)
    ]
    mean = summarise(items, predictor.instruments)["mean"]
    return {metric: mean[metric] for metric in METRICS}


def song_scores(predictor: Predictor, songs: Iterable[Song]) -> dict[str, float | None]:
    """Means over all pairs of a song and an instrument that sounds in it."""
    pairs = []
    for song in songs:
        scores, _ = score_network(predictor, song)
        pairs += [own for name, own in scores.items() if name != POOLED]
    known = {metric: [p[metric] for p in pairs if p[metric] is not None] for metric in METRICS}
    return {metric: float(np.mean(own)) if own else None for metric, own in known.items()}


def curve_row(workdir: str | Path, config: ConfigDict, catalogue: Catalogue | None) -> dict:
    """Step, seconds of training and scores of one copy of a run."""
    predictor = last_predictor(workdir, config)
    step = int(locate(workdir, "last").name)
    metrics = [entry for entry in read_metrics(workdir) if entry["step"] <= step]
    planner, count = data.test_excerpts(config, TEST_SPLIT)
    planners = {TEST_SPLIT: planner, UNSEEN_SPLIT: unseen_planner(config, planner)}
    scores = {
        split: excerpt_scores(predictor, own, count=count, seed=config.seed)
        for split, own in planners.items()
        if own is not None
    }
    if catalogue is not None:
        scores[SONGS] = song_scores(predictor, songs_of(catalogue, predictor.instruments))
    return {"step": step, "seconds": training_seconds(metrics), "scores": scores}


def _curve(flags: CommandFlags) -> None:
    if not flags.workdirs:
        raise ValueError("--workdirs is missing, e.g. --workdirs=runs/wide_8000,runs/wide_16000")
    if flags.out:
        check_writable(Path(flags.out).parent)
    config, rows = _config_of_all(flags.workdirs), {}
    with tempfile.TemporaryDirectory() as folder:
        catalogue = None
        if flags.root:
            options = {"sample_rate_hz": config.audio.sample_rate_hz, "progress": False}
            prepare(DEFAULT_CORPUS, flags.root, out=folder, **options)
            catalogue = Catalogue.load(folder)
            if not any(songs_of(catalogue, tuple(config.instruments))):
                raise ValueError(
                    f"--root={flags.root}: songs with {', '.join(config.instruments)} expected, "
                    "got none"
                )
        for workdir in flags.workdirs:
            rows[workdir] = curve_row(workdir, config, catalogue)
            if flags.out:
                with whole_file(flags.out) as part:
                    part.write_text(json.dumps(rows, indent=1) + "\n")
    print(curve_table(list(rows.values())))


def _config_of_all(workdirs: Sequence[str]) -> ConfigDict:
    config = load_run_config(workdirs[0])
    for workdir in workdirs[1:]:
        if load_run_config(workdir) != config:
            raise ValueError(
                f"--workdirs: copies of one run expected, got {workdirs[0]} and {workdir} with "
                "different configs"
            )
    return config


def curve_table(rows: Sequence[dict]) -> str:
    """Markdown, a row for each copy."""
    places = list(rows[0]["scores"])
    headings = [f"{place}: {title}" for place in places for title in METRICS.values()]
    lines = [
        (
            row["step"],
            duration(row["seconds"]),
            *(
                _shown(row["scores"][place][metric], digits)
                for place in places
                for metric, digits in (("si_sdr_improvement", 1), ("onset_f1", 2))
            ),
        )
        for row in rows
    ]
    return markdown_table(("steps", "training", *headings), lines)


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
