"""Does a long song need more memory than a short one? Peak memory of streamed inference.

    python -m experiments.benchmarks.long_song --workdir=RUN

Each length is a process of its own, fed with synthetic chords in blocks; what it yields is thrown
away, as `separate` writes it to disk.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np

from cerberus_jax.inference import Predictor
from experiments.command_line import CommandFlags, run_command

BLOCK_SECONDS = 5
_RESOURCE_UNIT = 1 if sys.platform == "darwin" else 1024


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.long_song --workdir=DIR",
        "Print peak memory and speed of streamed inference on songs of 6 and 60 minutes.",
    )
    flags.string("workdir", "", "The run's directory.")
    flags.string("minutes", "6,60", "Lengths of the songs.")
    flags.boolean("child", "Measure here, without a process of its own; used by the benchmark.")
    return run_command(_measure, flags, argv=argv)


def _measure(flags: CommandFlags) -> None:
    if flags.child:
        print(json.dumps(_stream(flags.workdir, float(flags.minutes))))
        return
    print("| minutes | peak memory MB | of the shortest | x real time |\n|---|---|---|---|")
    shortest = None
    for minutes in flags.minutes.split(","):
        command = [sys.executable, "-m", "experiments.benchmarks.long_song", "--child"]
        command += [f"--workdir={flags.workdir}", f"--minutes={minutes}"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise ValueError(f"the song of {minutes} minutes failed: {run.stderr[-2000:]}")
        found = json.loads(run.stdout.splitlines()[-1])
        shortest = shortest or found["megabytes"]
        print(
            f"| {minutes} | {found['megabytes']:.0f} | {found['megabytes'] / shortest:.3f} "
            f"| {found['speed']:.0f} |",
            flush=True,
        )


def _stream(workdir: str, minutes: float) -> dict:
    predictor = Predictor.load(workdir, windows_per_call=1)
    rate = predictor.grid.sample_rate_hz
    started = time.monotonic()
    num_samples = 0
    for sources, _ in predictor.predict_stream(_chords(minutes, rate)):
        num_samples += sources.shape[-1]
    if num_samples != round(minutes * 60 / BLOCK_SECONDS) * BLOCK_SECONDS * rate:
        raise ValueError(f"{minutes} minutes of song expected, got {num_samples} samples")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RESOURCE_UNIT / 1e6
    return {"megabytes": megabytes, "speed": minutes * 60 / (time.monotonic() - started)}


def _chords(minutes: float, rate: int):
    """Blocks of three random tones and noise."""
    rng = np.random.default_rng(0)
    moments = np.arange(BLOCK_SECONDS * rate) / rate
    for _ in range(round(minutes * 60 / BLOCK_SECONDS)):
        hertz = rng.uniform(80, 2000, (3, 1))
        tones = np.sin(2 * np.pi * hertz * moments).sum(0) * np.exp(-moments)
        yield (0.1 * tones + 0.01 * rng.standard_normal(len(moments)))[None].astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
