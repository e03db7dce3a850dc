"""The whole training step, beside PyTorch's, and how near it comes to what the machine can do.

    python -m experiments.benchmarks.train_step --device=gpu

A step is everything from the batch on the device to the new parameters: Fourier transforms of
mixture and sources, forward pass with dropout, three losses, backward pass, clipping, optimiser.
This project also makes mixture and rolls in it, from 16-bit sources, gains and notes; PyTorch is
handed both ready made.
"""

import dataclasses
import sys

from experiments.benchmarks import command, contest, roofline
from experiments.benchmarks.contest import EAGER, PUBLISHED
from experiments.benchmarks.figures import Figures, timing
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

BATCHES = {"cpu": "8,16", "gpu": "64,128,256"}
FORMS = {
    "cpu": {PUBLISHED: (PUBLISHED,), EAGER: (), "compile": ("compile",)},
    "gpu": {
        PUBLISHED: (PUBLISHED,),
        EAGER: (),
        "compile": ("compile",),
        "overhead": ("overhead",),
        "graph": ("compile", "graph"),
    },
}
OURS = {
    "cpu": {"cerberus_jax": {}},
    "gpu": {"cerberus_jax": {}, "cerberus_jax persistent": {"recurrence": "persistent"}},
}
COLUMNS = {
    "batch": ["batch", ""],
    **contest.COLUMNS,
    "examples/s": ["examples_per_second", ".4g"],
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
    contest.add_flags(flags)
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
    contests = contest.contests(
        flags, chosen, forms=FORMS[chosen.device], ours=OURS[chosen.device], large_pages=True
    )
    command.finish(measure([SMALL] if chosen.small else works, chosen, contests), chosen.out)


def measure(works: list[Workload], chosen: command.Options, contests: list[list[Side]]) -> Figures:
    """Every contest on every workload."""
    found = command.measured_machine(chosen)
    config = dataclasses.asdict(works[0]) | {"device": chosen.device, "rounds": chosen.rounds}
    figures = Figures("train_step", found, config, columns=COLUMNS, notes=chosen.notes)
    races_left = len(works) * len(contests)
    for work in works:
        for sides in contests:
            results = contest.hold(sides, work, "train", chosen, races_left=races_left)
            races_left -= 1
            figures.rows += [_row(result, results, work, found) for result in results]
            figures.notes += contest.failures(results)
            command.keep(figures, chosen.out)
    return figures


def _row(result: SideResult, results: list[SideResult], work: Workload, found: dict) -> dict:
    side = result.side
    more = {"batch": str(work.batch_size), "side": side.name}
    if result.seconds:
        parts = roofline.training_step(work, side.precision)
        least = roofline.roofline_seconds(parts, found, side.precision)
        more |= contest.comparisons(result, results) | {
            "examples_per_second": work.batch_size / result.median,
            "roofline_percent": 100 * least / result.median,
        }
    name = f"{side.name}, {side.precision}, batch {work.batch_size}"
    return timing(name, result, **more)


if __name__ == "__main__":
    sys.exit(main())
