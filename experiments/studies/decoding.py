"""What the decoding of rolls is worth: plain thresholds against tuned settings.

    python -m experiments.studies.decoding --workdir=RUN

Settings are tuned on validation excerpts; the table has their scores there and on test excerpts.
"""

import sys
from dataclasses import replace

import numpy as np

from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.inference import Predictor
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.markdown import markdown_table
from experiments.training import data
from experiments.training.decoding_search import (
    BY_ONSETS,
    CANDIDATES,
    ONSET_CANDIDATES,
    DecodingTask,
    search,
    search_from,
)
from experiments.training.tuning import decoding_tasks

# A run of frames above the threshold is a note: nothing is bridged, nothing split.
PLAIN = DecodingConfig(hysteresis=1.0, dip=1.0, max_gap_frames=0)

ONSETS_ALONE, BOTH = "onset roll, all settings tuned", "both rolls, all settings tuned"
SCORES = ("onset F1", "frame F1", "onset+offset F1")
HEADINGS = (
    "decoding",
    *(f"{split}: {score}" for split in ("validation", "test") for score in SCORES),
)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.decoding --workdir=DIR",
        "Print the F1 scores of a run's rolls under plain and under tuned decoding, and where\n"
        "there are rolls of onsets, of either kind of roll alone and of both.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.string("step", "best", "The checkpoint: best, last, or the number of a step.")
    return run_command(_measure, flags, argv=argv)


def _measure(flags: CommandFlags) -> None:
    config = load_run_config(flags.workdir)
    predictor = Predictor.load(flags.workdir, step=flags.step)
    tasks = {}
    for split, count in (
        ("validation", config.data.num_validation_excerpts),
        ("test", config.data.num_test_excerpts),
    ):
        seconds = config.evaluation.excerpt_seconds
        planner = data.planner(config, split, excerpt_seconds=seconds)
        tasks[split] = decoding_tasks(predictor, planner, count=count)
    chosen = {name: _decodings(task) for name, task in tasks["validation"].items()}
    rows = []
    for title in next(iter(chosen.values())):
        scores = [
            np.nanmean([_scores(t, title, chosen[n][title]) for n, t in of_split.items()], axis=0)
            for of_split in tasks.values()
        ]
        rows.append([title, *(f"{score:.3f}" for score in np.concatenate(scores))])
    print(markdown_table(HEADINGS, rows))
    for name, decodings in chosen.items():
        print(f"{name}: {list(decodings.values())[-1]}")


def _decodings(task: DecodingTask) -> dict[str, DecodingConfig]:
    """What is compared, chosen for one instrument."""
    default = DecodingConfig()
    frames = task.without_onset_rolls()
    decodings = {
        "plain, threshold 0.5": replace(PLAIN, threshold=0.5),
        "plain, tuned threshold": search(frames, PLAIN, settings=("threshold",)),
        "dip-aware, threshold 0.5": default,
        "dip-aware, tuned threshold": search(frames, default, settings=("threshold",)),
        "dip-aware, all settings tuned": search(frames, default),
    }
    if task.has_onset_rolls:
        settings = [name for name in (*ONSET_CANDIDATES, *CANDIDATES) if name not in BY_ONSETS]
        decodings[ONSETS_ALONE] = search_from(task, replace(default, **BY_ONSETS), settings)
        decodings[BOTH] = search(task, default)
    return decodings


def _scores(task: DecodingTask, title: str, config: DecodingConfig) -> tuple[float, ...]:
    """Of the rolls that this decoding is of; NaN for what is not scored."""
    task = task if title in (ONSETS_ALONE, BOTH) else task.without_onset_rolls()
    return (*task.scores(config), np.nan)[: len(SCORES)]


if __name__ == "__main__":
    sys.exit(main())
