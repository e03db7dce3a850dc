"""The flags that all races share, checked once, and the end of each: a table, and files."""

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks import figures as figures_
from experiments.benchmarks import machine
from experiments.benchmarks.figures import Figures
from experiments.benchmarks.race import MAX_DISTURBANCE
from experiments.benchmarks.sides import torch_version
from experiments.config.command_line import CommandFlags

# Calls per turn. On a CPU two, after one outside the timing: a loop finds the memory that its last
# step gave back, a single call after a pause may not.
REPEAT = {"cpu": 2, "gpu": 50}


@dataclass(frozen=True)
class Options:
    """Checked flags. `torch` is the version of PyTorch in `peer_python`, None without one; `end`
    the moment (time.monotonic) after which no further round begins, `machine` the file that
    describes the machine, if there is one."""

    device: str
    small: bool
    rounds: int
    repeat: int
    peer_python: str
    torch: str | None
    out: str
    end: float = math.inf
    machine: str = ""

    @property
    def notes(self) -> list[str]:
        """What a reader of the table must know of the sides."""
        quiet = (
            "medians are over the quiet rounds, in which other programs took less than "
            f"{MAX_DISTURBANCE:.0%} of the processors; over all where there was none"
        )
        if self.torch:
            return [quiet]
        absent = f"no PyTorch in {self.peer_python}: this project alone (--peer_python=PYTHON)"
        return [absent, quiet]


def race_flags(name: str, more: str, description: str, *, rounds: int = 7) -> CommandFlags:
    """The flags of a benchmark; `more` are its own in the usage line."""
    flags = CommandFlags(
        f"python -m experiments.benchmarks.{name} [--device=cpu|gpu] {more}".strip(), description
    )
    flags.string("device", "cpu", "Where to compute: cpu or gpu.")
    flags.boolean("small", "A tiny network and one round, to try the command.")
    flags.string("rounds", str(rounds), "Turns of each side.")
    flags.string("budget", "", "Minutes after which no further round begins (default: no limit).")
    flags.string("peer_python", sys.executable, "The Python that has PyTorch.")
    output_flags(flags)
    return flags


def output_flags(flags: CommandFlags) -> None:
    """Flags of every benchmark: where the figures go, and what is known of the machine."""
    flags.string("out", "", "JSON file that gets the figures; the table goes beside it as .md.")
    flags.string("machine", "", "JSON file of benchmarks.machine --out (default: measured anew).")


def options(flags: CommandFlags) -> Options:
    """Check the flags of `race_flags`.

    Raises:
        ValueError: naming the flag, what was expected and what came.
    """
    machine.check_device(flags.device)
    return Options(
        device=flags.device,
        small=flags.small,
        rounds=1 if flags.small else count(flags, "rounds"),
        repeat=2 if flags.small else REPEAT[flags.device],
        peer_python=flags.peer_python,
        torch=torch_version(flags.peer_python),
        out=flags.out,
        end=end(flags),
        machine=flags.machine,
    )


def end(flags: CommandFlags) -> float:
    """The moment (time.monotonic) at which --budget is used up."""
    return time.monotonic() + 60 * minutes(flags, "budget") if flags.budget else math.inf


def measured_machine(chosen: Options) -> dict:
    """known_machine, with the version of PyTorch."""
    found = known_machine(chosen.device, small=chosen.small, file=chosen.machine)
    if chosen.torch:
        found["versions"]["PyTorch"] = chosen.torch
    return found


def known_machine(device: str, *, small: bool, file: str) -> dict:
    """What machine.measure says of the device; read from `file`, if that is given.

    Raises:
        ValueError: if JAX cannot use the device, or the file is of another one.
    """
    if not file:
        return machine.measure(device, small=small)
    try:
        found = json.loads(Path(file).read_text())
        right = set(found["product_flops"]) == set(machine.PRECISIONS[device])
    except (json.JSONDecodeError, TypeError, KeyError):
        right = False
    if not right:
        raise ValueError(
            f"machine: a file made by experiments.benchmarks.machine --device={device} "
            f"--out=FILE expected, got {file}"
        )
    return found


def minutes(flags: CommandFlags, name: str) -> float:
    """The positive number of a flag."""
    text = flags[name].value
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise ValueError(f"{name}: a positive number of minutes expected, got {text!r}")
    return found


def among(flags: CommandFlags, name: str, known: Sequence[str]) -> list[str]:
    """The names of a flag, separated by commas; all that are known where it is empty."""
    asked = [part.strip() for part in flags[name].value.split(",") if part.strip()]
    if unknown := [part for part in asked if part not in known]:
        raise ValueError(f"{name}: among {', '.join(known)}, got {unknown[0]!r}")
    return asked or list(known)


def counts(flags: CommandFlags, name: str) -> list[int]:
    """The positive whole numbers of a flag, separated by commas."""
    text = flags[name].value
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{name}: positive whole numbers expected, e.g. 8 or 8,16, got {text!r}")
    return [int(part) for part in parts]


def count(flags: CommandFlags, name: str) -> int:
    """The positive whole number of a flag."""
    found = counts(flags, name)
    if len(found) > 1:
        raise ValueError(f"{name}: one whole number expected, got {flags[name].value!r}")
    return found[0]


def keep(figures: Figures, out: str) -> list[Path]:
    """Write the files that were asked for, also while more is to come: what ends a benchmark then
    does not take away what it has measured."""
    return figures_.write(figures, out) if out else []


def finish(figures: Figures, out: str) -> None:
    """Print the table, and write the files that were asked for."""
    print(figures_.markdown(figures))
    if written := keep(figures, out):
        print(f"\nWritten: {', '.join(map(str, written))}", file=sys.stderr)
