"""Does a long song need more memory than a short one? Peak memory and speed of the whole command.

    python -m experiments.benchmarks.long_song --workdir=RUN

Validation songs one after the other, as often as it takes, are written as a stereo file and given
to `experiments.separate` in a process of its own, which writes all it ever does: stems, MIDI, the
table of notes and the page.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float

from data_pipeline.io.audio_stream import AudioWriter, quantise
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.whole_songs import whole_songs
from experiments.songs.files import NOTES_FILE
from experiments.songs.page import PAGE_FILE
from experiments.training import data

SPLIT = "validation"
_RESOURCE_UNIT = 1 if sys.platform == "darwin" else 1024


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.long_song --workdir=DIR [--flags=FLAGS]",
        "Print peak memory and speed of experiments.separate on songs of 6 and 60 minutes. Needs\n"
        "5 GB of disk for an hour of music.",
    )
    flags.string("workdir", "", "The run's directory.")
    flags.string("minutes", "6,60", "Lengths of the songs.")
    flags.string("rate", "44100", "Of the songs, in Hz.")
    flags.string("flags", "", "More flags for separate, e.g. --flags='--other --format=flac'.")
    return run_command(_measure, flags, argv=argv)


def _measure(flags: CommandFlags) -> None:
    config = load_run_config(flags.workdir)
    planner = data.planner(config, SPLIT, excerpt_seconds=config.evaluation.excerpt_seconds)
    if not flags.rate.isdigit():
        raise ValueError(f"rate: whole Hz expected, got {flags.rate!r}")
    rate = int(flags.rate)
    print(
        "| minutes | notes | page MB | peak memory MB | of the shortest | seconds | x real time |"
    )
    print("|---|---|---|---|---|---|---|")
    shortest = None
    for minutes in map(float, flags.minutes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            song = Path(folder) / "song.wav"
            seconds = _write_song(song, _mixtures(planner, config, rate), rate, 60 * minutes)
            command = [sys.executable, "-m", "experiments.separate", f"--workdir={flags.workdir}"]
            command += [f"--out={folder}/out", *flags.flags.split(), str(song)]
            started = time.monotonic()
            megabytes = _peak(command)
            spent = time.monotonic() - started
            out = Path(folder) / "out" / "song"
            notes = len((out / NOTES_FILE).read_text().splitlines()) - 1
            page = out / PAGE_FILE
            size = page.stat().st_size / 1e6 if page.exists() else 0
        shortest = shortest or megabytes
        print(
            f"| {minutes:g} | {notes} | {size:.1f} | {megabytes:.0f} | {megabytes / shortest:.3f} "
            f"| {spent:.0f} | {seconds / spent:.0f} |",
            flush=True,
        )


def _mixtures(planner, config, rate: int) -> Iterator[Float[np.ndarray, " n"]]:
    """Songs of the split at another rate, again and again."""
    songs = [song.sources.sum(0) for song in whole_songs(planner)]
    songs = [soxr.resample(song, config.audio.sample_rate_hz, rate) for song in songs]
    return itertools.cycle(songs)


def _write_song(path: Path, mixtures, rate: int, seconds: float) -> float:
    """Write songs until there are `seconds` of them; returns how many it became."""
    written, wanted = 0, round(seconds * rate)
    with AudioWriter(path, sample_rate_hz=rate, num_channels=2) as writer:
        while written < wanted:
            mono = next(mixtures)[: wanted - written]
            writer.write(quantise(np.stack([0.9 * mono, 0.7 * mono]), "PCM_16"))
            written += len(mono)
    return written / rate


def _peak(command: list[str]) -> float:
    """Runs a command; its peak memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process.stderr:
        messages = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ValueError(f"{' '.join(command)} failed: {messages[-2000:]}")
    return usage.ru_maxrss * _RESOURCE_UNIT / 1e6


if __name__ == "__main__":
    sys.exit(main())
