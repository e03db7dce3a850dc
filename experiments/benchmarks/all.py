"""Every speed and memory benchmark of the network in one command, within a given time.

    python -m experiments.benchmarks.all --device=gpu --out=runs/benchmarks

Needs JAX, and PyTorch for the sides it is compared with; no TensorFlow and no data. Each benchmark
gets a share of the time that is left; where that is short, it makes fewer rounds. What is measured
runs in processes of its own; one that fails or hangs is reported, and the others go on.
"""

import importlib
import sys
import time
from pathlib import Path

from experiments.benchmarks import command, machine
from experiments.config.command_line import CommandFlags, run_command

SHARES = {"train_step": 0.45, "inference": 0.15, "recurrence": 0.2, "scaling": 0.15, "memory": 0.05}
# What fits into minutes on a GPU, where PyTorch compiles anew for every batch and precision.
ARGUMENTS = {"gpu": {"train_step": ["--precision=bfloat16"], "inference": ["--precision=bfloat16"]}}
ARGUMENTS_SMALL = {
    "train_step": ["--precision=float32"],
    "inference": ["--precision=float32"],
    "recurrence": ["--precision=float32", "--parts=loop"],
    "scaling": ["--axes=devices"],
}
REPORT = "results.md"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.all [--device=cpu|gpu] [--out=DIR] [--minutes=8]",
        f"Run {', '.join(SHARES)}. OUT gets NAME.json of each and {REPORT} with all tables.",
    )
    flags.choice("device", "cpu", machine.DEVICES, "Where to compute.")
    flags.boolean("small", "Tiny networks and one round, to try the command.")
    flags.number("minutes", 8.0, "How long the whole set may take.")
    flags.path("out", "runs/benchmarks", "Where the results go.")
    flags.path("peer_python", sys.executable, "The Python that has PyTorch.")
    flags.names("only", None, "Benchmarks, e.g. --only=train_step,memory (default: all).")
    return run_command(_all, flags, argv=argv)


def _all(flags: CommandFlags) -> None:
    end = time.monotonic() + 60 * command.minutes(flags, "minutes")
    names, out = command.among(flags, "only", list(SHARES)), Path(flags.out)
    known = machine.measure(flags.device, small=flags.small)  # before anything is written
    out.mkdir(parents=True, exist_ok=True)
    sections, failed = [f"# Benchmarks\n\n{machine.words(known)}"], []
    for number, name in enumerate(names):
        share = SHARES[name] / sum(SHARES[left] for left in names[number:])
        seconds = max(1.0, end - time.monotonic()) * share
        print(f"\n{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        sections.append(f"## {name}")
        table = out / f"{name}.md"
        table.unlink(missing_ok=True)
        if reason := run_one(name, flags, seconds):
            failed.append(name)
            sections.append(f"Failed: {reason}")
        if table.exists():  # after a failure: what it had measured before
            sections.append(table.read_text().strip())
            table.unlink()
        (out / REPORT).write_text("\n\n".join(sections) + "\n")
    print(f"\nWritten: {out / REPORT}", file=sys.stderr)
    if failed:
        raise ValueError(f"{len(failed)} of {len(names)} benchmarks failed: {', '.join(failed)}")


def run_one(name: str, flags: CommandFlags, seconds: float) -> str:
    """Run a benchmark within so many seconds; the reason if it failed."""
    arguments = [f"--device={flags.device}", f"--out={Path(flags.out) / name}.json"]
    arguments += [f"--budget={seconds / 60:.3f}", *(["--small"] if flags.small else [])]
    arguments += [f"--peer_python={flags.peer_python}"] if name != "memory" else []
    arguments += (ARGUMENTS_SMALL if flags.small else ARGUMENTS.get(flags.device, {})).get(name, [])
    try:
        module = importlib.import_module(f"experiments.benchmarks.{name}")
        if (code := module.main(arguments)) == 130:
            raise KeyboardInterrupt  # the whole set stops
        return "see what it printed" if code else ""
    except Exception as error:  # of any kind: the others go on, and the report says which
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
