"""How long until the first training step is done? The start of experiments.run.

    python -m experiments.benchmarks.startup --out=FILE.json

Each start is the command itself, from its start to the first line of its metrics: with an empty
folder of compiled programs (cold), and again with the programs that it left (warm), in turns. The
network is set4's at full size; songs are rendered and prepared beforehand. The files of Python and
of the packages have been read before, so they come from memory.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.benchmarks import machine
from experiments.benchmarks.child import ChildFailed, import_path
from experiments.benchmarks.result import Result, add_out_flag
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import load_config
from experiments.runtime.compile_cache import JAX_VARIABLE
from experiments.training.data import data_root
from experiments.training.metric_log import METRICS_FILE

SET = "sets/set4.py"
# The step that the other benchmarks time; more songs hardly take longer to open.
SHAPE = {"batch_size": 8, "excerpt_seconds": 5.0, "data.minislakh_songs": 20}
SCHEDULE = {"train.log_every": 1, "train.eval_every": 1000, "train.num_steps": 1000}
COLUMNS = {
    "start": ("start", ""),
    "median s": ("median", ".2f"),
    "min s": ("minimum", ".2f"),
    "programs compiled": ("compiled", ""),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.startup [--rounds=3] [--config.FIELD=VALUE ...]",
        "Print the seconds from the start of experiments.run to the end of its first step, with\n"
        "nothing compiled before (cold) and on the next start (warm).",
    )
    flags.integer("rounds", 3, "Cold and warm starts of each.", lowest=1)
    add_out_flag(flags)
    return run_command(measure, flags, argv=argv, with_config=True)


def measure(flags: CommandFlags, overrides: Overrides) -> None:
    """Start the command again and again; print and write."""
    fields = SHAPE | dict(overrides)
    data_root(load_config(SET, fields))  # renders the songs where there are none
    result = Result("startup", machine.describe(), COLUMNS, {"set": SET, "fields": fields})
    starts = {"cold": [], "warm": []}
    for _ in range(flags.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for measured in starts.values():
                measured.append(first_step(fields, Path(folder)))
    for name, measured in starts.items():
        seconds, compiled = zip(*measured, strict=True)
        row = {"start": name, "median": statistics.median(seconds), "minimum": min(seconds)}
        result.rows.append(row | {"compiled": max(compiled), "seconds": seconds})
    result.finish(flags.out)


def first_step(fields: dict, compiled: Path) -> tuple[float, int]:
    """Seconds until the first step is logged, and how many programs are new in the folder.

    Raises:
        ChildFailed: if the command ends before.
    """
    before = len(list(compiled.glob("*-cache")))
    variables = {JAX_VARIABLE: str(compiled), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    with tempfile.TemporaryDirectory() as workdir, tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, "-m", "experiments.run", f"--config={SET}"]
        command += [f"--workdir={workdir}"]
        command += [f"--config.{name}={value}" for name, value in (fields | SCHEDULE).items()]
        metrics, began = Path(workdir) / METRICS_FILE, time.monotonic()
        to = {"stdout": output, "stderr": output, "env": os.environ | import_path() | variables}
        with subprocess.Popen(command, **to) as process:
            try:
                while not (metrics.exists() and metrics.stat().st_size):
                    if process.poll() is not None:
                        output.seek(0)
                        raise ChildFailed(f"experiments.run failed: {output.read()[-2000:]}")
                    time.sleep(0.005)
                return time.monotonic() - began, len(list(compiled.glob("*-cache"))) - before
            finally:
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
