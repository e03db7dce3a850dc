"""The flags that all races share, checked once, and the end of each: a table, and files."""

import json
import sys
from dataclasses import dataclass

from experiments.benchmarks import figures as figures_
from experiments.benchmarks import race as races
from experiments.benchmarks import sides
from experiments.benchmarks.figures import Figures
from experiments.benchmarks.machine import check_device
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.sides import FULL_PRECISION, torch_version
from experiments.benchmarks.workload import Workload
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
        if self.torch:
            return []
        return [f"no PyTorch in {self.peer_python}: this project alone (--peer_python=PYTHON)"]


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
    check_device(flags.device)
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


def contestant_flags(flags: CommandFlags) -> None:
    """Flags that say who takes part."""
    flags.string("precision", "", "Precisions, e.g. --precision=bfloat16 (default: all).")
    flags.string("forms", "", "Forms of PyTorch, e.g. --forms=eager,compile (default: all).")
    flags.string(
        "ours",
        "",
        "More sides of this project by their settings, separated by semicolons, e.g. "
        "--ours='recurrence=scan;clips_per_turn=4,recurrence=scan'.",
    )


def chosen_precisions(flags: CommandFlags, chosen: Options) -> list[str]:
    """The precisions asked for; all of the device where none are."""
    return _among(flags, "precision", [FULL_PRECISION[chosen.device], "bfloat16"])


def chosen_forms(flags: CommandFlags, forms: dict[str, tuple], chosen: Options) -> dict:
    """The forms of PyTorch asked for, as variants; none without PyTorch."""
    names = _among(flags, "forms", list(forms))
    if chosen.small and not flags.forms:
        names = [name for name in names if "compile" not in forms[name]]  # that takes a minute
    return {name: forms[name] for name in names} if chosen.torch else {}


def _among(flags, name, known):
    asked = [part.strip() for part in flags[name].value.split(",") if part.strip()]
    if unknown := [part for part in asked if part not in known]:
        raise ValueError(f"{name}: among {', '.join(known)}, got {unknown[0]!r}")
    return asked or known


def ours_settings(flags: CommandFlags) -> list[dict]:
    """Settings of this project's sides: the defaults, and those of --ours."""
    found = [{}]
    for text in filter(None, flags.ours.split(";")):
        pairs = [part.partition("=") for part in text.split(",")]
        if not all(name and sign and value for name, sign, value in pairs):
            raise ValueError(f"ours: NAME=VALUE,NAME=VALUE expected, got {text!r}")
        found.append({name.strip(): _value(value) for name, _, value in pairs})
    return found


def _value(text: str):
    """The number or truth value that a text stands for, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def contestants(
    chosen: Options, precision: str, forms: dict[str, tuple], settings: list[dict]
) -> list[Side]:
    """The forms of PyTorch at a precision, and this project's sides."""
    peers = [
        sides.peer(form, chosen.device, *variants, precision=precision, python=chosen.peer_python)
        for form, variants in forms.items()
    ]
    mine = []
    for own in settings:
        shown = " ".join(["cerberus_jax", *(f"{name}={value}" for name, value in own.items())])
        mine.append(sides.ours(shown, chosen.device, precision=precision, **own))
    return peers + mine


def race(contestants: list[Side], work: Workload, mode: str, chosen: Options) -> list[SideResult]:
    """races.race with the flags' rounds; on a GPU the sides prepare together."""
    return races.race(
        contestants,
        work,
        mode,
        rounds=chosen.rounds,
        repeat=chosen.repeat,
        together=chosen.device == "gpu",
        quiet_seconds=0 if chosen.small else races.QUIET_SECONDS,
    )


def failures(results: list[SideResult]) -> list[str]:
    """A note for each side that failed."""
    return [
        f"{one.side.name}, {one.side.precision} failed: {one.error.splitlines()[-1]}"
        for one in results
        if one.error
    ]


def finish(figures: Figures, chosen: Options) -> None:
    """Print the table, and write the files that were asked for."""
    print(figures_.markdown(figures))
    if chosen.out:
        written = figures_.write(figures, chosen.out)
        print(f"\nWritten: {', '.join(map(str, written))}", file=sys.stderr)
