"""The whole training step, beside PyTorch's, and how near it comes to what the machine can do.

    python -m experiments.benchmarks.train_step --device=gpu

A step is everything from the batch on the device to the new parameters: Fourier transforms of
mixture and sources, forward pass with dropout, three losses, backward pass, clipping, optimiser.
This project also makes mixture and rolls in it, from 16-bit sources, gains and notes; PyTorch is
handed both ready made.
"""

import dataclasses
import sys

from experiments.benchmarks import command, floor, machine, race, sides
from experiments.benchmarks.figures import Figures, timing
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import SMALL, Workload
from experiments.command_line import CommandFlags, run_command

BATCHES = {"cpu": "8,16", "gpu": "64,128,256"}
PUBLISHED = "published"
# Forms of PyTorch's step, as variants of peer.py: the best of them at its precision is the peer.
FORMS = {
    "cpu": {PUBLISHED: (PUBLISHED,), "eager": (), "compile": ("compile",)},
    "gpu": {
        PUBLISHED: (PUBLISHED,),
        "eager": (),
        "compile": ("compile",),
        "overhead": ("overhead",),
        "graph": ("compile", "graph"),
    },
}
COLUMNS = {
    "batch": ["batch", ""],
    "side": ["side", ""],
    "precision": ["precision", ""],
    "median s": ["median", ".4g"],
    "min s": ["least", ".4g"],
    "CPU s": ["cpu_seconds", ".4g"],
    "peak RSS MB": ["peak_mb", ".0f"],
    "GPU peak MB": ["device_peak_mb", ".0f"],
    "first call s": ["first_call_seconds", ".1f"],
    "examples/s": ["examples_per_second", ".4g"],
    "x published": ["times_published", ".2f"],
    "RSS of published": ["memory_of_published", ".2f"],
    "x best PyTorch at this precision": ["times_best_peer", ".2f"],
    "by rounds": ["times_best_peer_by_round", ".2f"],
    "% of floor": ["floor_percent", ".0f"],
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "train_step",
        "[--batch=8,16]",
        "Race the training step against the forms of PyTorch's step at equal precision, within\n"
        "one run, in turns. On a CPU nothing else should run meanwhile.",
    )
    flags.string("batch", "", "Batch sizes (default: 8,16 on a CPU, 64,128,256 on a GPU).")
    flags.string("seconds", "5", "Length of a clip, whole seconds.")
    flags.string("instruments", "5", "Instruments.")
    command.contestant_flags(flags)
    return run_command(_train_step, flags, argv=argv)


def _train_step(flags: CommandFlags) -> None:
    chosen = command.options(flags)
    flags.batch = flags.batch or BATCHES[chosen.device]
    works = [
        Workload(
            batch_size=size,
            seconds=command.count(flags, "seconds"),
            num_instruments=command.count(flags, "instruments"),
        )
        for size in command.counts(flags, "batch")
    ]
    command.finish(
        measure([SMALL] if chosen.small else works, chosen, races(flags, chosen)), chosen
    )


def races(flags: CommandFlags, chosen: command.Options) -> list[list[Side]]:
    """Who races whom: on a GPU, whose memory all sides share, one race for each precision."""
    forms = command.chosen_forms(flags, FORMS[chosen.device], chosen)
    plain = {name: variants for name, variants in forms.items() if name != PUBLISHED}
    groups = [
        command.contestants(
            chosen,
            precision,
            plain if precision == "bfloat16" else forms,  # published in full precision alone
            command.ours_settings(flags),
        )
        for precision in command.chosen_precisions(flags, chosen)
    ]
    return groups if chosen.device == "gpu" else [[side for group in groups for side in group]]


def measure(works: list[Workload], chosen: command.Options, contests: list[list[Side]]) -> Figures:
    """Every contest on every workload."""
    found = machine.measure(chosen.device, small=chosen.small)
    config = dataclasses.asdict(works[0]) | {"device": chosen.device, "rounds": chosen.rounds}
    figures = Figures("train_step", found, config, columns=COLUMNS, notes=chosen.notes)
    for work in works:
        for contestants in contests:
            results = command.race(contestants, work, "train", chosen)
            figures.rows += rows(results, work, found)
            figures.notes += command.failures(results)
    return figures


def rows(results: list[SideResult], work: Workload, found: dict) -> list[dict]:
    """Rows of one race."""
    return [_row(result, results, work, found) for result in results]


def _row(result, results, work, found):
    precision = result.side.precision
    more = {"batch": str(work.batch_size), "side": result.side.name}
    if result.seconds:
        least = floor.floor_seconds(floor.training_step(work, precision), found, precision)
        more |= {
            "examples_per_second": work.batch_size / result.median,
            "floor_seconds": least,
            "floor_percent": 100 * least / result.median,
            **comparisons(result, results),
        }
    name = f"{result.side.name}, {precision}, batch {work.batch_size}"
    return timing(name, result, **more)


def comparisons(result: SideResult, results: list[SideResult]) -> dict:
    """How many times as fast as the published form, and as the best of PyTorch's forms at equal
    precision: by medians, and by the median of the rounds' ratios."""
    peers = [one for one in results if sides.is_peer(one.side) and one.seconds]
    published = [one for one in peers if one.side.name == sides.peer_name(PUBLISHED)]
    same = [one for one in peers if one.side.precision == result.side.precision]
    found = {}
    if published:
        found["times_published"] = race.times_faster(result, published[0])
        found["memory_of_published"] = result.peak_mb / published[0].peak_mb
    if same:
        best = min(same, key=lambda one: one.median)
        found["times_best_peer"] = race.times_faster(result, best)
        found["times_best_peer_by_round"] = race.times_faster_by_round(result, best)
    return found


if __name__ == "__main__":
    sys.exit(main())
