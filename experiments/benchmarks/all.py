"""Every speed and memory benchmark in one command, within a given time.

    python -m experiments.benchmarks.all --device=gpu --out=runs/benchmarks

Needs JAX, and PyTorch for the sides it is compared with; no TensorFlow and no data. Each benchmark
is a process of its own and gets a share of the time that is left; where that is short, it makes
fewer rounds. One that fails or hangs is reported, and the others go on.
"""

import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from experiments.benchmarks import command, figures, machine
from experiments.config.command_line import CommandFlags, run_command

SHARES = {"train_step": 0.45, "inference": 0.15, "recurrence": 0.2, "scaling": 0.15, "memory": 0.05}
# What fits into minutes on a GPU, where PyTorch compiles anew for every batch and precision.
ARGUMENTS = {"gpu": {"train_step": ["--precision=bfloat16"], "inference": ["--precision=bfloat16"]}}
ARGUMENTS_SMALL = {
    "cpu": {
        "train_step": ["--precision=float32"],
        "inference": ["--precision=float32"],
        "recurrence": ["--parts=loop"],
        "scaling": ["--axes=devices"],
    }
}
RACES = ("train_step", "inference", "recurrence", "scaling")
OURS = "cerberus_jax"  # how the names of this project's sides begin
GRACE_SECONDS = 60  # beyond its share, after which a benchmark is stopped
LAST_WORDS = 10  # lines of a failed benchmark that the report shows
REPORT = "results.md"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.all [--device=cpu|gpu] [--out=DIR] [--minutes=8]",
        f"Run {', '.join(SHARES)}. OUT gets NAME.json of each and {REPORT} with all tables.",
    )
    flags.string("device", "cpu", "Where to compute: cpu or gpu.")
    flags.boolean("small", "Tiny networks and one round, to try the command.")
    flags.string("minutes", "8", "How long the whole set may take.")
    flags.string("out", "runs/benchmarks", "Where the results go.")
    flags.string("peer_python", sys.executable, "The Python that has PyTorch.")
    flags.string("only", "", "Benchmarks, e.g. --only=train_step,memory (default: all).")
    return run_command(_all, flags, argv=argv, on_interrupt="Stopped.")


def _all(flags: CommandFlags) -> None:
    end = time.monotonic() + 60 * command.minutes(flags, "minutes")
    names = command.among(flags, "only", list(SHARES))
    out = Path(flags.out)
    out.mkdir(parents=True, exist_ok=True)
    found = machine.measure(flags.device, small=flags.small)
    (out / machine.FILE).write_text(json.dumps(found, indent=1) + "\n")
    failed = {}
    for number, name in enumerate(names):
        left = sum(SHARES[other] for other in names[number:])
        seconds = max(0.0, end - time.monotonic()) * SHARES[name] / left
        print(f"\n{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        result = out / f"{name}.json"
        result.unlink(missing_ok=True)
        error = run_one(name, arguments(name, flags, out, seconds), seconds + GRACE_SECONDS)
        if error := error or _nothing_measured(result):
            failed[name] = error
    report(out, names, found, failed)
    print(f"\nWritten: {out / REPORT}", file=sys.stderr)
    if failed:
        raise ValueError(f"{len(failed)} of {len(names)} benchmarks failed: {', '.join(failed)}")


def arguments(name: str, flags: CommandFlags, out: Path, seconds: float) -> list[str]:
    """The arguments of one benchmark."""
    found = [
        f"--device={flags.device}",
        f"--out={out / name}.json",
        f"--machine={out / machine.FILE}",
    ]
    found += ["--small"] if flags.small else []
    found += (ARGUMENTS_SMALL if flags.small else ARGUMENTS).get(flags.device, {}).get(name, [])
    found.append(f"--budget={max(seconds, 1) / 60:.3f}")
    if name in RACES:
        found.append(f"--peer_python={flags.peer_python}")
    return found


def run_one(name: str, options: list[str], limit_seconds: float) -> str | None:
    """Run a benchmark in a process of its own; the reason if it failed, with its last words."""
    call = [sys.executable, "-m", f"experiments.benchmarks.{name}", *options]
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    last = collections.deque(maxlen=LAST_WORDS)
    stopped = threading.Event()
    with subprocess.Popen(
        call, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    ) as process:
        timer = threading.Timer(limit_seconds, lambda: (stopped.set(), _stop(process)))
        timer.start()
        try:
            for line in process.stderr:
                print(line, end="", file=sys.stderr, flush=True)
                last.append(line)
            process.wait()
        finally:  # after Ctrl-C too: the end of this process would wait for the timer
            timer.cancel()
    if stopped.is_set():
        return f"stopped after {limit_seconds:.0f} s\n{''.join(last)}"
    if process.returncode:
        return f"exit code {process.returncode}\n{''.join(last)}"
    return None


def _stop(process):
    """As by Ctrl-C, so that a race ends its sides; by force where that does not help."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()


def _nothing_measured(result: Path) -> str | None:
    """The notes of a result none of whose sides of this project ended well."""
    found = figures.read(result)
    ours = [row for row in found.rows if row.get("side", OURS).startswith(OURS)]
    if any(row["samples"] for row in ours):
        return None
    return "\n".join([f"nothing was measured of {OURS}", *found.notes])


def report(out: Path, names: list[str], found: dict, failed: dict[str, str]) -> None:
    """One Markdown file in place of one per benchmark."""
    lines = [f"# Benchmarks\n\n{machine.words(found)}"]
    for name in names:
        lines.append(f"## {name}")
        path = out / f"{name}.json"
        if name in failed:
            lines.append(f"Failed: {failed[name].strip()}")
        if path.exists():  # after a failure: what it had measured before
            lines.append(figures.markdown(figures.read(path)))
            path.with_suffix(".md").unlink()
    (out / REPORT).write_text("\n\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
