"""Whole songs to audio and rolls of every instrument, beside PyTorch.

    python -m experiments.benchmarks.inference --device=cpu --minutes=3,10

PyTorch takes a song whole, in one pass and without the clustering head; its published form, which
runs the network once per kind of output and computes every head, is shown for the shortest song.
This project takes windows, as `separate` does, or the song whole (its exact option). All end with
the audio and the rolls of the whole song in the host's memory.
"""

import dataclasses
import sys

from experiments.benchmarks import command, contest, roofline
from experiments.benchmarks.contest import EAGER, PUBLISHED
from experiments.benchmarks.figures import Figures, timing
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.sides import peer_name
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

FORMS = {PUBLISHED: (PUBLISHED,), EAGER: (), "compile": ("compile",)}
OURS = {"cerberus_jax windows": {}, "cerberus_jax whole song": {"exact": True}}
COLUMNS = {
    "song": ["song", ""],
    **contest.COLUMNS,
    "x real time": ["times_real_time", ".0f"],
}
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
    flags.string("minutes", "3,10", "Lengths of the songs, whole minutes.")
    contest.add_flags(flags)
    return run_command(_inference, flags, argv=argv)


def _inference(flags: CommandFlags) -> None:
    chosen = command.options(flags)
    works = [
        Workload(batch_size=1, seconds=60.0 * minutes)
        for minutes in sorted(command.counts(flags, "minutes"))
    ]
    if chosen.small:
        works = [SMALL_SONG]
    contests = contest.contests(flags, chosen, forms=FORMS, ours=OURS, large_pages=False)
    command.finish(measure(works, chosen, contests), chosen.out)


def measure(works: list[Workload], chosen: command.Options, contests: list[list[Side]]) -> Figures:
    """Every contest on every song, the published form on the first song alone."""
    found = command.measured_machine(chosen)
    config = dataclasses.asdict(works[0]) | {"device": chosen.device, "rounds": chosen.rounds}
    figures = Figures("inference", found, config, columns=COLUMNS, notes=chosen.notes)
    one_call = dataclasses.replace(chosen, repeat=1)  # long enough for any clock to settle
    races_left = len(works) * len(contests)
    for work in works:
        for sides in contests:
            if work != works[0]:
                sides = [side for side in sides if side.name != peer_name(PUBLISHED)]
            results = contest.hold(sides, work, "infer", one_call, races_left=races_left)
            races_left -= 1
            figures.rows += [_row(result, results, work, found) for result in results]
            figures.notes += contest.failures(results)
            command.keep(figures, chosen.out)
    return figures


def _row(result: SideResult, results: list[SideResult], work: Workload, found: dict) -> dict:
    side, song = result.side, f"{work.seconds / 60:.3g} min"
    more = {"song": song, "side": side.name}
    if result.seconds:
        parts = roofline.inference(work, side.precision)
        least = roofline.roofline_seconds(parts, found, side.precision)
        more |= contest.comparisons(result, results) | {
            "times_real_time": work.seconds / result.median,
            "roofline_percent": 100 * least / result.median,
        }
    return timing(f"{side.name}, {side.precision}, {song}", result, **more)


if __name__ == "__main__":
    sys.exit(main())
