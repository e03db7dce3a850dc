"""Temporary memory of the compiled training step, by batch, microbatch, precision, and the parts in
which a step takes its batch.

    python -m experiments.benchmarks.memory --device=cpu|gpu
    python -m experiments.benchmarks.memory --batch=40 --seconds=6.4 --parts=1,2,4,8

The figures are XLA's own account of a compiled function (`memory_analysis`: what it needs beside
its inputs and outputs), so nothing runs and there is no noise. With one excerpt a microbatch the
losses hold the embeddings of one excerpt, with the whole batch as one those of all. The second form
is for the batch that training takes: how far `train.accumulation_steps` brings its memory down.
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
    "parts": ("parts", ""),
    "excerpts a microbatch": ("microbatch_size", ""),
    "temporary MB": ("temporary_mb", ".1f"),
    "of the whole batch at once": ("share", ".3f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.memory [--device=cpu|gpu] [--parts=1,2,4] "
        "[--out=FILE.json]",
        "Temporary memory of the compiled training step. Compiles only, nothing runs.",
    )
    flags.names("batch", None, "Batch sizes (default: 8,16,32 on a CPU, 64,128,256 on a GPU).")
    flags.number("seconds", Workload().seconds, "Seconds of an excerpt.")
    flags.names("parts", None, "train.accumulation_steps, with the microbatches of training.")
    flags.integer("microbatch", 0, "loss.microbatch_size of these (default: that of the device).")
    command.add_run_flags(flags)
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """Compile in a process of its own; print and write what there is when the time is up.

    Raises:
        ValueError: if nothing could be compiled.
    """
    device, end = flags.device, time.monotonic() + 60 * command.minutes(flags, "budget")
    work = dataclasses.asdict(SMALL if flags.small else Workload(seconds=flags.seconds))
    batches = command.whole_numbers(flags, "batch", (2,) if flags.small else BATCHES[device])
    parts = command.whole_numbers(flags, "parts", ()) or [0]
    result = Result("memory", machine.describe(), COLUMNS, work | {"device": device})
    for precision in (FULL_PRECISION[device], *(() if flags.small else ("bfloat16",))):
        try:
            for row in answers(
                "experiments.benchmarks.memory:temporary_memory",
                environment=environment(device, precision),
                limit_seconds=max(0.0, end - time.monotonic()),
                work=work,
                batches=batches,
                parts=parts,
                microbatch=flags.microbatch,
                precision=precision,
            ):
                result.rows.append({"side": PROJECT} | row)
                result.save(flags.out)
        except ChildFailed as error:
            result.notes.append(f"{precision}: {str(error).splitlines()[-1]}")
    result.finish(flags.out)
    if not result.rows:
        raise ValueError(f"nothing was compiled: {'; '.join(result.notes)}")


def temporary_memory(
    work: dict, batches: list[int], parts: list[int], microbatch: int, precision: str
) -> Iterator[dict]:
    """The rows of a precision, by microbatch: the whole batch, what training takes, one excerpt; or
    where there are parts by those. The first of a batch is what the others are compared with."""
    from experiments.benchmarks import ours

    settings = {"precision": of_network(precision)}
    for batch in batches:
        of_batch = dataclasses.replace(Workload(**work), batch_size=batch)
        sizes = []
        for k in parts:
            of_parts = {"microbatch_size": microbatch, "accumulation_steps": k or 1}
            sizes.append((k, ours.task(of_batch, **of_parts, **settings).microbatch_size))
        if parts == [0]:
            sizes = [(1, size) for size in sorted({1, sizes[0][1], batch}, reverse=True)]
        first = None
        for k, size in sizes:
            step, _, _ = ours.compiled_step(
                of_batch, microbatch_size=size, accumulation_steps=k, **settings
            )
            megabytes = step.memory_analysis().temp_size_in_bytes / 1e6
            first = first or megabytes
            yield {
                "precision": precision,
                "batch": batch,
                "parts": k,
                "microbatch_size": size,
                "temporary_mb": megabytes,
                "share": megabytes / first,
            }


if __name__ == "__main__":
    sys.exit(main())
