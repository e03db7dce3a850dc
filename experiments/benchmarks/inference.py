"""Whole songs to audio and rolls of every instrument, beside PyTorch.

    python -m experiments.benchmarks.inference --device=cpu --minutes=3,10

PyTorch takes a song whole, in one pass and without the clustering head; its published form, which
runs the network once per kind of output and computes every head, is shown for the shortest song.
This project takes windows, as `separate` does, or the song whole (its exact option). All end with
the audio and the rolls of the whole song in the host's memory.
"""

import dataclasses
import sys

from experiments.benchmarks import command
from experiments.benchmarks.race import SideResult
from experiments.benchmarks.sides import EAGER, PROJECT, PUBLISHED
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

FORMS = {EAGER: (), "compile": ("compile",)}
OURS = {f"{PROJECT} windows": {}, f"{PROJECT} whole song": {"exact": True}}
COLUMNS = {"song": ("song", ""), **command.COLUMNS, "x real time": ("times_real_time", ".0f")}
SMALL_SONG = dataclasses.replace(SMALL, batch_size=1, seconds=2.0, sample_rate_hz=2000)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "inference",
        "[--minutes=3,10]",
        "Race separation and transcription of whole songs against PyTorch at equal precision,\n"
        "within one run, in turns. On a CPU nothing else should run meanwhile.",
        rounds=5,
    )
    flags.names("minutes", ["3", "10"], "Lengths of the songs, whole minutes.")
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """A race for each song and precision; print and write."""
    lengths = sorted(command.whole_numbers(flags, "minutes", ()))
    works = [Workload(batch_size=1, seconds=60.0 * minutes) for minutes in lengths]
    works = [SMALL_SONG] if flags.small else works
    session = command.Session("inference", flags, COLUMNS, works[0])
    races = []
    for work in works:
        forms = FORMS | ({PUBLISHED: (PUBLISHED,)} if work is works[0] else {})
        who = {"forms": forms, "ours": OURS, "labels": {"song": f"{work.seconds / 60:.3g} min"}}
        races += [session.contest(work, "infer", kind, **who) for kind in session.precisions]
    session.hold(races, more, repeat=1)  # a call is long enough for any clock to settle


def more(measured: SideResult, results: list[SideResult]) -> dict:
    """The rate."""
    return {"times_real_time": measured.side.work.seconds / measured.median}


if __name__ == "__main__":
    sys.exit(main())
