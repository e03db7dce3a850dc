"""The flags that all races share, checked once, and the end of each: a table, and files."""

import sys
from dataclasses import dataclass

from experiments.benchmarks import figures as figures_
from experiments.benchmarks import machine
from experiments.benchmarks.figures import Figures
from experiments.benchmarks.race import MOST_DISTURBANCE
from experiments.benchmarks.sides import torch_version
from experiments.command_line import CommandFlags

REPEAT = {"cpu": 1, "gpu": 50}  # calls per turn


@dataclass(frozen=True)
class Options:
    """Checked flags. `torch` is the version of PyTorch in `peer_python`, None without one."""

    device: str
    small: bool
    rounds: int
    repeat: int
    peer_python: str
    torch: str | None
    out: str

    @property
    def notes(self) -> list[str]:
        """What a reader of the table must know of the sides."""
        quiet = (
            "medians are over the quiet rounds, in which other programs took less than "
            f"{MOST_DISTURBANCE:.0%} of the processors; over all where there was none"
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
    flags.string("peer_python", sys.executable, "The Python that has PyTorch.")
    flags.string("out", "", "JSON file that gets the figures; the table goes beside it as .md.")
    return flags


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
    )


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


def measured_machine(chosen: Options) -> dict:
    """machine.measure, with the version of PyTorch."""
    found = machine.measure(chosen.device, small=chosen.small)
    if chosen.torch:
        found["versions"]["PyTorch"] = chosen.torch
    return found


def finish(figures: Figures, chosen: Options) -> None:
    """Print the table, and write the files that were asked for."""
    print(figures_.markdown(figures))
    if chosen.out:
        written = figures_.write(figures, chosen.out)
        print(f"\nWritten: {', '.join(map(str, written))}", file=sys.stderr)
