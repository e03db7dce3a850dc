"""What the commands that race have in common: their flags, who takes part, the loop over races."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.benchmarks import machine, roofline, sides
from experiments.benchmarks.race import Side, SideResult, race
from experiments.benchmarks.result import Result, add_out_flag
from experiments.benchmarks.workload import Workload
from experiments.config.command_line import CommandFlags

# Calls per turn. On a CPU two, after one outside the timing: a loop finds the memory that its last
# step gave back, a single call after a pause may not.
REPEAT = {"cpu": 2, "gpu": 50}
TIME_WAS_UP = "the time (--budget) was up"
COLUMNS = {
    "side": ("side", ""),
    "precision": ("precision", ""),
    "median s": ("median", ".4g"),
    "min s": ("minimum", ".4g"),
    "CPU s": ("median_cpu", ".4g"),
    "peak RSS MB": ("peak_mb", ".0f"),
    "GPU peak MB": ("device_peak_mb", ".0f"),
    "ready after s": ("ready_seconds", ".1f"),
    "x published": ("times_published", ".2f"),
    "memory of published": ("memory_of_published", ".2f"),
    "x best PyTorch at this precision": ("times_best_peer", ".2f"),
    "by rounds": ("times_best_peer_by_round", ".2f"),
    "memory of leanest": ("memory_of_leanest_peer", ".2f"),
    "% of roofline": ("roofline_percent", ".0f"),
}
"""What a table shows of a side."""


def race_flags(name: str, more: str, description: str, *, rounds: int = 7) -> CommandFlags:
    """The flags of a benchmark; `more` are its own in the usage line."""
    flags = CommandFlags(
        f"python -m experiments.benchmarks.{name} [--device=cpu|gpu] {more}", description
    )
    add_run_flags(flags)
    flags.integer("rounds", rounds, "Turns of each side.", lowest=1)
    flags.names(
        "precision", None, "Of products, e.g. --precision=bfloat16; full and that by default."
    )
    flags.path("peer_python", sys.executable, "The Python that has PyTorch.")
    flags.path("against", "", "Folder of another checkout of this project, which races too.")
    return flags


def add_run_flags(flags: CommandFlags) -> None:
    """What `all` hands on to each benchmark."""
    flags.choice("device", "cpu", machine.DEVICES, "Where to compute.")
    flags.boolean("small", "A tiny network and one round, to try the command.")
    flags.number("budget", math.inf, "Minutes after which nothing more is begun.")
    add_out_flag(flags)


def minutes(flags: CommandFlags, name: str) -> float:
    """The positive number of a flag."""
    if not flags[name].value > 0:
        raise ValueError(f"{name}: a positive number of minutes expected, got {flags[name].value}")
    return flags[name].value


def among(flags: CommandFlags, name: str, known: Sequence[str]) -> list[str]:
    """The names of a flag; all that are known where there are none."""
    names = flags[name].value or list(known)
    if unknown := [text for text in names if text not in known]:
        raise ValueError(f"{name}: among {', '.join(known)}, got {unknown[0]!r}")
    return names


def whole_numbers(flags: CommandFlags, name: str, default: Sequence[int]) -> list[int]:
    """The positive whole numbers of a flag."""
    texts = flags[name].value or list(map(str, default))
    if wrong := [text for text in texts if not text.isdecimal() or int(text) == 0]:
        raise ValueError(f"{name}: positive whole numbers expected, e.g. 8,16, got {wrong[0]!r}")
    return list(map(int, texts))


class Session:
    """A run of a command that races: what its flags say, who can take part, what comes out.

    `flags` are those of `race_flags`, `columns` those of the table, `work` the sizes that all rows
    share. A ValueError names the flag, what was expected and what came.
    """

    def __init__(self, name: str, flags: CommandFlags, columns: dict, work: Workload):
        self.flags, self.end = flags, time.monotonic() + 60 * minutes(flags, "budget")
        full = sides.FULL_PRECISION[flags.device]
        self.precisions = among(flags, "precision", [full, "bfloat16"])
        self.torch = sides.torch_version(flags.peer_python)
        known = machine.measure(flags.device, small=flags.small)
        versions = known["versions"] | ({"PyTorch": self.torch} if self.torch else {})
        config = dataclasses.asdict(work) | {"device": flags.device, "rounds": flags.rounds}
        self.result = Result(name, known | {"versions": versions}, columns, config)
        if not self.torch:
            reason = f"{flags.peer_python} has none (--peer_python=PYTHON)"
            self.result.notes.append(f"PyTorch is left out: {reason}")

    def share(self, races_left: int) -> float:
        """Seconds for the next of so many races."""
        return max(0.0, self.end - time.monotonic()) / races_left

    def contest(
        self,
        work: Workload,
        mode: str,
        precision: str,
        *,
        forms: dict[str, tuple[str, ...]],
        ours: dict[str, dict],
        labels: dict,
    ) -> list[Side]:
        """The sides of a race: the `forms` of PyTorch as variants of peer.py, and `ours`, settings
        by name; `labels` tell its rows apart. The published form always has full precision."""
        device, contestants = self.flags.device, []
        for form, variants in forms.items() if self.torch else ():
            kind = sides.FULL_PRECISION[device] if form == sides.PUBLISHED else precision
            rival = sides.peer(form, work, mode, kind, device, variants)
            contestants.append(dataclasses.replace(rival, python=self.flags.peer_python))
        for name, settings in ours.items():
            own = sides.ours(name, work, mode, precision, device, **settings)
            contestants.append(own)
            if self.flags.against:
                tree = Path(self.flags.against).resolve()
                old = dataclasses.replace(own, name=f"{name} of {tree.name}", tree=tree)
                contestants.append(old)
        return [dataclasses.replace(side, labels=labels) for side in contestants]

    def hold(
        self,
        races: list[list[Side]],
        more: Callable[[SideResult, list[SideResult]], dict],
        *,
        repeat: int | None = None,
    ) -> None:
        """Hold the races one after the other, each within its share of the time that is left; then
        print and write the table. `more` gives what else the row of a side has, from its result and
        those of its race; `repeat` is the number of calls per turn, by default for the device.

        Raises:
            ValueError: if nothing of this project was measured.
        """
        device, small = self.flags.device, self.flags.small
        for number, contestants in enumerate(races):
            if seconds := self.share(len(races) - number):
                results = race(
                    contestants,
                    rounds=1 if small else self.flags.rounds,
                    repeat=repeat or (2 if small else REPEAT[device]),
                    together=small or device == "gpu",  # where compiling takes the time
                    limit_seconds=seconds,
                )
            else:
                results = [SideResult(side, error=TIME_WAS_UP) for side in contestants]
            for result in results:
                self._add_row(result, results, more)
            self.result.save(self.flags.out)
        self.result.finish(self.flags.out)
        own = [row for row in self.result.rows if row["side"].startswith(sides.PROJECT)]
        if all(row.get("error") for row in own):
            notes = "; ".join(self.result.notes)
            raise ValueError(f"nothing was measured of {sides.PROJECT}: {notes}")

    def _add_row(self, result, results, more):
        side, row = result.side, result.row()
        if result.seconds:
            operations = roofline.parts_of(side.work, side.mode, side.precision)
            bound = roofline.roofline_seconds(operations, self.result.machine, side.precision)
            row["roofline_percent"] = 100 * bound / result.median
            row |= sides.comparisons(result, results) | more(result, results)
        self.result.rows.append(row)
        if result.error:
            name = ", ".join([side.name, side.precision, *map(str, side.labels.values())])
            self.result.notes.append(f"{name}, failed: {result.error.splitlines()[-1]}")
