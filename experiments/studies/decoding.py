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
from experiments.training.decoding_search import DecodingTask, search
from experiments.training.tuning import decoding_tasks

# A run of frames above the threshold is a note: nothing is bridged, nothing split.
PLAIN = DecodingConfig(hysteresis=1.0, dip=1.0, max_gap_frames=0)

HEADINGS = ("decoding", "validation: onset F1", "frame F1", "test: onset F1", "frame F1")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.studies.decoding --workdir=DIR",
        "Print onset F1 and frame F1 of a run's rolls under plain and under tuned decoding.",
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
            np.mean([task.scores(chosen[name][title]) for name, task in of_split.items()], axis=0)
            for of_split in tasks.values()
        ]
        rows.append([title, *(f"{score:.3f}" for score in np.concatenate(scores))])
    print(markdown_table(HEADINGS, rows))
    for name, decodings in chosen.items():
        print(f"{name}: {list(decodings.values())[-1]}")


def _decodings(task: DecodingTask) -> dict[str, DecodingConfig]:
    """What is compared, chosen for one instrument."""
    default = DecodingConfig()
    return {
        "plain, threshold 0.5": replace(PLAIN, threshold=0.5),
        "plain, tuned threshold": search(task, PLAIN, settings=("threshold",)),
        "onset-aware, threshold 0.5": default,
        "onset-aware, tuned threshold": search(task, default, settings=("threshold",)),
        "onset-aware, all settings tuned": search(task, default),
    }


if __name__ == "__main__":
    sys.exit(main())
