"""The whole training step, beside PyTorch's, and how near it comes to what the machine can do.

    python -m experiments.benchmarks.train_step --device=gpu

A step is everything from the batch on the device to the new parameters: Fourier transforms of
mixture and sources, forward pass with dropout, three losses, backward pass, clipping, optimiser.
This project also makes mixture and rolls in it, from 16-bit sources, gains and notes; PyTorch is
handed both ready made.
"""

import sys

from experiments.benchmarks import command
from experiments.benchmarks.race import SideResult
from experiments.benchmarks.sides import EAGER, PROJECT, PUBLISHED
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

BATCHES = {"cpu": (8, 16), "gpu": (64, 128, 256)}
FORMS = {PUBLISHED: (PUBLISHED,), EAGER: (), "compile": ("compile",)}
FORMS_ON_GPU = {"graph": ("compile", "graph")}
EXPERIMENTAL = "experimental_persistent"  # of cerberus_jax.lstm.BACKENDS
OURS_ON_GPU = {f"{PROJECT} {EXPERIMENTAL}": {"recurrence": EXPERIMENTAL}}
COLUMNS = {"batch": ("batch", ""), **command.COLUMNS, "examples/s": ("examples_per_second", ".4g")}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "train_step",
        "[--batch=8,16]",
        "Race the training step against the forms of PyTorch's step at equal precision, within\n"
        "one run, in turns. On a CPU nothing else should run meanwhile.",
    )
    flags.names("batch", None, "Batch sizes (default: 8,16 on a CPU, 64,128,256 on a GPU).")
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """A race for each batch size and precision; print and write."""
    sizes = command.whole_numbers(flags, "batch", BATCHES[flags.device])
    works = [SMALL] if flags.small else [Workload(batch_size=size) for size in sizes]
    session = command.Session("train_step", flags, COLUMNS, works[0])
    on_gpu = flags.device == "gpu"
    who = {
        "forms": FORMS | (FORMS_ON_GPU if on_gpu else {}),
        "ours": {PROJECT: {}} | (OURS_ON_GPU if on_gpu else {}),
    }
    races = [
        session.contest(work, "train", precision, labels={"batch": work.batch_size}, **who)
        for work in works
        for precision in session.precisions
    ]
    session.hold(races, more)


def more(measured: SideResult, results: list[SideResult]) -> dict:
    """The rate."""
    return {"examples_per_second": measured.side.work.batch_size / measured.median}


if __name__ == "__main__":
    sys.exit(main())
