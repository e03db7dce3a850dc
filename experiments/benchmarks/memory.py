"""Temporary memory of the compiled training step, by batch, microbatch and precision.

    python -m experiments.benchmarks.memory --device=cpu|gpu

The figures are XLA's own account of a compiled function (`memory_analysis`: what it needs beside
its inputs and outputs), so nothing runs and there is no noise. With one excerpt a microbatch the
losses hold the embeddings of one excerpt, with the whole batch as one those of all.
"""

import dataclasses
import sys
import time
from collections.abc import Iterator

from experiments.benchmarks import command, machine
from experiments.benchmarks.child import ChildFailed, answers
from experiments.benchmarks.result import Result
from experiments.benchmarks.sides import FULL_PRECISION, PROJECT, environment, of_network
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

BATCHES = {"cpu": (8, 16, 32), "gpu": (64, 128, 256)}
COLUMNS = {
    "precision": ("precision", ""),
    "batch": ("batch", ""),
    "excerpts a microbatch": ("microbatch_size", ""),
    "temporary MB": ("temporary_mb", ".1f"),
    "of the whole batch at once": ("share", ".3f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.memory [--device=cpu|gpu] [--out=FILE.json]",
        "Temporary memory of the compiled training step. Compiles only, nothing runs.",
    )
    command.add_run_flags(flags)
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """Compile in a process of its own; print and write what there is when the time is up.

    Raises:
        ValueError: if nothing could be compiled.
    """
    device, end = flags.device, time.monotonic() + 60 * command.minutes(flags, "budget")
    work = dataclasses.asdict(SMALL if flags.small else Workload())
    batches = (2,) if flags.small else BATCHES[device]
    result = Result("memory", machine.describe(), COLUMNS, work | {"device": device})
    for precision in (FULL_PRECISION[device], *(() if flags.small else ("bfloat16",))):
        try:
            for row in answers(
                "experiments.benchmarks.memory:temporary_memory",
                environment=environment(device, precision),
                limit_seconds=max(0.0, end - time.monotonic()),
                work=work,
                batches=batches,
                precision=precision,
            ):
                result.rows.append({"side": PROJECT} | row)
                result.save(flags.out)
        except ChildFailed as error:
            result.notes.append(f"{precision}: {str(error).splitlines()[-1]}")
    result.finish(flags.out)
    if not result.rows:
        raise ValueError(f"nothing was compiled: {'; '.join(result.notes)}")


def temporary_memory(work: dict, batches: list[int], precision: str) -> Iterator[dict]:
    """The rows of a precision, by microbatch: the whole batch, what training takes, one excerpt."""
    from experiments.benchmarks import ours

    settings = {"precision": of_network(precision)}
    for batch in batches:
        of_batch = dataclasses.replace(Workload(**work), batch_size=batch)
        usual = ours.task(of_batch, **settings).microbatch_size
        megabytes = {}
        for size in sorted({1, usual, batch}, reverse=True):
            step, _, _ = ours.compiled_step(of_batch, microbatch_size=size, **settings)
            megabytes[size] = step.memory_analysis().temp_size_in_bytes / 1e6
            yield {
                "precision": precision,
                "batch": batch,
                "microbatch_size": size,
                "temporary_mb": megabytes[size],
                "share": megabytes[size] / megabytes[batch],
            }


if __name__ == "__main__":
    sys.exit(main())
