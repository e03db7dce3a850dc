"""Does a long song need more memory than a short one? Peak memory and speed of the whole command.

    python -m experiments.benchmarks.long_song --workdir=RUN

Validation songs one after the other, as often as it takes, are written as a stereo file at 44.1 kHz
and given to `experiments.separate` in a process of its own, which writes all it ever does: stems,
MIDI, the table of notes and the page.
"""

import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from experiments.benchmarks import machine
from experiments.benchmarks.child import run_module
from experiments.benchmarks.result import Result, add_out_flag
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.whole_songs import whole_songs
from experiments.songs.files import NOTES_FILE
from experiments.songs.page import PAGE_FILE
from experiments.training import data

RATE_HZ, CHANNEL_GAINS = 44100, (0.9, 0.7)
COLUMNS = {
    "minutes": ("minutes", "g"),
    "notes": ("notes", ""),
    "page MB": ("page_mb", ".1f"),
    "peak memory MB": ("peak_mb", ".0f"),
    "seconds": ("seconds", ".0f"),
    "x real time": ("times_real_time", ".0f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.long_song --workdir=DIR [--minutes=6,60]",
        "Print peak memory and speed of experiments.separate on songs of 6 and 60 minutes. Needs\n"
        "5 GB of disk for an hour of music.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.names("minutes", ["6", "60"], "Lengths of the songs.")
    add_out_flag(flags)
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """Separate a song of each length; print and write."""
    config = load_run_config(flags.workdir)
    songs = [song.sources.sum(0) for song in whole_songs(*data.song_plan(config, "validation"))]
    songs = [soxr.resample(song, config.audio.sample_rate_hz, RATE_HZ) for song in songs]
    result = Result("long_song", machine.describe(), COLUMNS)
    for minutes in map(float, flags.minutes):
        with tempfile.TemporaryDirectory() as folder:
            song, out = Path(folder) / "song.wav", Path(folder) / "out"
            _write_song(song, itertools.cycle(songs), 60 * minutes)
            folders = f"--workdir={flags.workdir}", f"--out={out}"
            usage = run_module("experiments.separate", *folders, str(song))
            row = usage | {
                "minutes": minutes,
                "notes": len((out / "song" / NOTES_FILE).read_text().splitlines()) - 1,
                "page_mb": (out / "song" / PAGE_FILE).stat().st_size / 1e6,
                "times_real_time": 60 * minutes / usage["seconds"],
            }
        result.rows.append(row)
        result.save(flags.out)
    result.finish(flags.out)


def _write_song(path: Path, mixtures: Iterator[Float[np.ndarray, " n"]], seconds: float) -> None:
    """Write mixtures one after the other, `seconds` of them, as stereo."""
    left = round(seconds * RATE_HZ)
    with soundfile.SoundFile(path, "w", RATE_HZ, len(CHANNEL_GAINS), "PCM_16") as file:
        while left:
            mono = next(mixtures)[:left]
            file.write(np.stack([gain * mono for gain in CHANNEL_GAINS], axis=1))
            left -= len(mono)


if __name__ == "__main__":
    sys.exit(main())
