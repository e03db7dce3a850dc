"""Is a sweep faster than its points one after another? The paper's seven on piano and guitar.

    python -m experiments.benchmarks.sweep --steps=300 --out=FILE.json

Each side trains in processes of its own with nothing compiled before: the sweep in one, the single
runs in seven. What a step takes of each is that of the log, validation and checkpoints apart; start
and end are the rest of the time of the processes. Nothing is evaluated.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.benchmarks import machine
from experiments.benchmarks.child import answers
from experiments.benchmarks.result import Result, add_out_flag
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import load_config
from experiments.runtime.compile_cache import JAX_VARIABLE
from experiments.sweeps.points import load_points

SET, SWEEP = "sets/cerberus_demo.py", "loss_weights"
FIELDS = {"instruments": "piano,guitar", "data.minislakh_songs": 20}
COLUMNS = {
    "side": ("side", ""),
    "processes": ("processes", ""),
    "a step of all points, ms": ("step_ms", ".1f"),
    "times as fast": ("speedup", ".2f"),
    "start and end, s": ("other_seconds", ".1f"),
    "in all, s": ("seconds", ".1f"),
    "times as fast in all": ("speedup_in_all", ".2f"),
    "CPU s": ("cpu_seconds", ".1f"),
    "peak MB": ("peak_mb", ".0f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.sweep [--steps=300] [--config.FIELD=VALUE ...]",
        "Train the paper's seven points together and one after another, and print what a step of\n"
        "all of them takes, start-up apart.",
    )
    flags.integer("steps", 300, "Steps of each point.", lowest=2)
    flags.integer("rounds", 1, "Turns of each side; the table has medians.", lowest=1)
    flags.choice("way", "auto", ("auto", "turn", "stacked"), "As of experiments.sweep.")
    add_out_flag(flags)
    return run_command(measure, flags, argv=argv, with_config=True)


def measure(flags: CommandFlags, overrides: Overrides) -> None:
    """Train in turns; print and write."""
    steps = flags.steps
    rhythm = {f"train.{name}_every": steps for name in ("log", "eval", "checkpoint")}
    fields = FIELDS | rhythm | {"train.num_steps": steps} | dict(overrides)

    from experiments.training.data import data_root

    data_root(load_config(SET, fields))  # renders the songs where there are none
    names = [name for name, _ in load_points(SWEEP, SET, list(fields.items()))]
    result = Result("sweep", machine.describe(), COLUMNS, {"set": SET, "fields": fields})
    sides = {"sweep": [names], "single runs": [[name] for name in names]}
    taken = {side: [] for side in sides}
    for _ in range(flags.rounds):
        for side, processes in sides.items():
            done = [_process(own, fields, flags.way) for own in processes]
            taken[side].append(
                {
                    "step_ms": 1e3 * sum(own["step_seconds"] for own in done),
                    "seconds": sum(own["seconds"] for own in done),
                    "cpu_seconds": sum(own["cpu_seconds"] for own in done),
                    "peak_mb": max(own["peak_mb"] for own in done),
                }
            )
    for side, processes in sides.items():
        row = {"side": side, "processes": len(processes), "rounds": taken[side]}
        row |= {k: statistics.median(own[k] for own in taken[side]) for k in taken[side][0]}
        row["other_seconds"] = row["seconds"] - steps * row["step_ms"] / 1e3
        result.rows.append(row)
    sweep, single = result.rows
    sweep["speedup"] = single["step_ms"] / sweep["step_ms"]
    sweep["speedup_in_all"] = single["seconds"] / sweep["seconds"]
    result.finish(flags.out)


def _process(names, fields, way) -> dict:
    """Trains points in a process that finds nothing compiled; what a step of all takes, and the
    whole."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as compiled:
        (measured,) = answers(
            "experiments.benchmarks.sweep:trained",
            environment={JAX_VARIABLE: compiled},
            names=names,
            fields=fields,
            way=way,
            folder=folder,
        )
    return measured | {"seconds": time.monotonic() - began}


def trained(names: list[str], fields: dict, way: str, folder: str) -> Iterator[dict]:
    """Trains the points, one of them as a run by itself; `step_seconds` of all,
    `cpu_seconds` of the process and `peak_mb`."""
    from experiments import train
    from experiments.sweeps.together import train_group
    from experiments.training import data
    from experiments.training.metric_log import read_metrics
    from experiments.training.validation_scores import ValidationScores

    points = dict(load_points(SWEEP, SET, list(fields.items())))
    folders = {Path(folder) / name: points[name] for name in names}
    if len(folders) > 1:
        train_group(folders, way=way)
    else:
        ((workdir, config),) = folders.items()
        train.train(
            config,
            data.batches(config, "train", num_steps=config.train.num_steps),
            workdir=workdir,
            validation_batches=data.validation_batches(config),
            scored=ValidationScores.of([config]),
        )
    seconds = [read_metrics(own)[-1]["time"]["seconds_per_step"] for own in folders]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1e3}
    yield {"step_seconds": sum(seconds)} | used


if __name__ == "__main__":
    sys.exit(main())
