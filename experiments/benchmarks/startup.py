"""How long until the first training step is done? The start of experiments.run, stage by stage.

    python -m experiments.benchmarks.startup --out=FILE.json

Each start is a process of its own: with an empty folder of compiled programs (cold), and again with
the programs that it left (warm), in turns. The network is set4's at full size; songs are rendered
and prepared beforehand. The files of Python and of the packages have been read before, so they come
from memory.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.runtime.compile_cache import JAX_VARIABLE

SET = "sets/set4.py"
SONGS = 20  # training songs; the time to open prepared data hardly depends on their number
SHAPE = {"batch_size": 8, "excerpt_seconds": 5.0}  # the step that the other benchmarks time
SMALL = {
    "excerpt_seconds": 1.0,
    "batch_size": 2,
    "data.minislakh_songs": 4,
    "data.num_validation_excerpts": 8,
    "model.layers": 1,
    "model.hidden": 16,
}
STAGES = {
    "interpreter": "Python, until the command begins",
    "imports": "config checked; JAX and its backend",
    "data": "the training code imported, validation batches read, network described",
    "compile": "programs traced, lowered, and compiled or loaded",
    "first step": "parameters made, batch read, step computed, all else",
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.startup [--rounds=3] [--out=FILE.json] "
        "[--config.FIELD=VALUE ...]",
        "Print the seconds from the start of experiments.run to the end of its first step, by\n"
        "stages, with nothing compiled before (cold) and on the next start (warm).",
    )
    flags.string("rounds", "3", "Cold and warm starts of each.")
    flags.string("out", "", "JSON file that gets all figures; a .md with the table beside it.")
    flags.boolean("small", "A tiny network and one round, to try the command.")
    flags.string("start", "", "Used internally: what a subprocess starts, as JSON.")
    return run_command(_benchmark, flags, argv=argv, with_config=True)


def _benchmark(flags: CommandFlags, overrides: Overrides) -> None:
    if flags.start:
        _start(**json.loads(flags.start))
        return
    if not flags.rounds.isdigit() or int(flags.rounds) < 1:
        raise ValueError(f"--rounds must be a whole number from 1 on, got {flags.rounds!r}")
    fields = SHAPE | {"data.minislakh_songs": SONGS} | (SMALL if flags.small else {})
    fields |= dict(overrides)
    _render(fields)
    starts = []
    for _ in range(1 if flags.small else int(flags.rounds)):
        with tempfile.TemporaryDirectory() as folder:
            starts += [one_start(fields, Path(folder), name) for name in ("cold", "warm")]
    figures = _machine() | {"fields": fields, "starts": starts, "table": summarise(starts)}
    text = markdown(figures)
    print(text)
    if flags.out:
        Path(flags.out).write_text(json.dumps(figures, indent=1))
        Path(flags.out).with_suffix(".md").write_text(text + "\n")


def _render(fields: dict) -> None:
    from experiments.config.loading import load_config
    from experiments.training.data import data_root

    data_root(load_config(SET, fields))


def one_start(fields: dict, folder: Path, name: str) -> dict:
    """The stages of a start in a process of its own, compiled programs being kept in `folder`."""
    with tempfile.TemporaryDirectory() as workdir:
        spec = {"began": time.time(), "fields": fields, "workdir": workdir}
        command = [sys.executable, "-m", "experiments.benchmarks.startup"]
        compiled = {
            JAX_VARIABLE: str(folder),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        done = subprocess.run(
            [*command, f"--start={json.dumps(spec)}"],
            env=os.environ | compiled,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise ValueError(f"the {name} start failed: {done.stderr[-2000:]}")
    return {"name": name} | json.loads(done.stdout.splitlines()[-1])


def _start(began: float, fields: dict, workdir: str) -> None:
    """Run experiments.run until it logs its first step, and print how long each stage took."""
    ends = {"interpreter": time.time()}
    compiler = {"seconds": 0.0, "cache_hits": 0, "cache_misses": 0}
    from experiments import run

    train_run = run.train_run

    def watched(config, folder):
        from experiments import train
        from experiments.training import metric_log

        ends["imports"] = time.time()
        loop = train.train

        def watched_loop(*args, **kwargs):
            ends["data"] = time.time()
            _watch_compiler(compiler)
            return loop(*args, **kwargs)

        train.train = watched_loop
        metric_log.MetricLog.write = first_step_done
        train_run(config, folder)

    def first_step_done(*_):
        ends["first step"] = time.time()
        seconds = dict(zip(ends, np.diff([began, *ends.values()]).tolist(), strict=True))
        seconds["compile"] = compiler.pop("seconds")
        seconds["first step"] -= seconds["compile"]
        found = {"seconds": seconds, "total": ends["first step"] - began} | compiler
        print(json.dumps(found), flush=True)
        os._exit(0)  # does not wait for the reader, which imports TensorFlow

    run.train_run = watched
    schedule = {"train.log_every": 1, "train.eval_every": 1000, "train.num_steps": 1000}
    arguments = [f"--config.{name}={value}" for name, value in (fields | schedule).items()]
    sys.exit(run.main([f"--config={SET}", f"--workdir={workdir}", *arguments]))


def _watch_compiler(found: dict) -> None:
    """Adds up the time of tracing, lowering and compiling or loading; counts programs loaded from
    the folder and compiled."""
    import jax

    stages = ("jaxpr_trace", "jaxpr_to_mlir_module", "backend_compile")

    def add(event, seconds, **_):
        if event in [f"/jax/core/compile/{stage}_duration" for stage in stages]:
            found["seconds"] += seconds

    def count(event, **_):
        name = event.rpartition("/")[2]
        if name in found:
            found[name] += 1

    jax.monitoring.register_event_duration_secs_listener(add)
    jax.monitoring.register_event_listener(count)


def summarise(starts: list[dict]) -> list[dict]:
    """Per kind of start: the median of each stage and of the whole, and the longest whole."""
    rows = []
    for name in ("cold", "warm"):
        own = [start for start in starts if start["name"] == name]
        median = {
            stage: statistics.median(one["seconds"][stage] for one in own) for stage in STAGES
        }
        rows.append(
            {"name": name, "seconds": median}
            | {"total": statistics.median(one["total"] for one in own)}
            | {"longest": max(one["total"] for one in own)}
            | {key: own[-1][key] for key in ("cache_hits", "cache_misses")}
        )
    return rows


def markdown(figures: dict) -> str:
    """The figures as a table for BENCHMARKS.md."""
    shape = ", ".join(f"{name}={value}" for name, value in figures["fields"].items())
    lines = [
        f"{figures['cpu']}, {figures['cores']} cores, Python {figures['python']}; {SET}, {shape}.",
        "",
        f"| seconds | {' | '.join(STAGES)} | **all** (longest) | programs loaded, compiled |",
        "|---" * (len(STAGES) + 3) + "|",
    ]
    for row in figures["table"]:
        cells = [f"{row['seconds'][stage]:.1f}" for stage in STAGES]
        lines.append(
            f"| {row['name']} | {' | '.join(cells)} | **{row['total']:.1f}** "
            f"({row['longest']:.1f}) | {row['cache_hits']}, {row['cache_misses']} |"
        )
    return "\n".join([*lines, "", *(f"* {name}: {text}" for name, text in STAGES.items())])


def _machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
