"""A fair race: every side in a process of its own, all of them taking turns within one run.

The order is reversed every round, so that whatever slows the machine down falls on all sides alike,
and the ratios of a round's turns say more than two medians that were taken apart.
"""

import contextlib
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from experiments.benchmarks.child import ROOT, Child, ChildFailed, child
from experiments.benchmarks.workload import Workload

GRACE_SECONDS = 60.0  # after the limit of a race, in which a side must answer


@dataclass(frozen=True)
class Side:
    """One contestant: `name`, `precision` and `labels` tell it apart in the table.

    `factory` is 'module:function'; function(work, mode, **settings) gives a function of nothing
    that does the work once and returns a number, which may still be on the device: float() of it
    waits. `python` is the interpreter that has what the factory needs, `environment` the variables
    set for it, `tree` the checkout that its modules come from.
    """

    name: str
    factory: str
    work: Workload
    mode: str
    settings: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    precision: str = "float32"
    python: str = sys.executable
    environment: dict = field(default_factory=dict)
    tree: Path = ROOT


@dataclass
class SideResult:
    """What was measured of a side; `seconds` and `cpu_seconds`, of one call, have an entry a turn.

    `peak_mb` is the largest resident memory of the process, `device_peak_mb` the largest on a GPU
    (None without one), `ready_seconds` the time to the first result, with all compilation. `error`
    is None unless the side failed.
    """

    side: Side
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    device_peak_mb: float | None = None
    ready_seconds: float | None = None
    error: str | None = None

    @property
    def median(self) -> float:
        """Seconds of a call."""
        return statistics.median(self.seconds)

    def row(self) -> dict:
        """All of it as a row of a table."""
        own = {name: value for name, value in vars(self).items() if name != "side"}
        row = {"side": self.side.name, "precision": self.side.precision, **self.side.labels, **own}
        if self.seconds:
            cpu = statistics.median(self.cpu_seconds)
            row |= {"median": self.median, "minimum": min(self.seconds), "median_cpu": cpu}
        return row


def race(
    sides: Sequence[Side],
    *,
    rounds: int,
    repeat: int = 1,
    together: bool = False,
    limit_seconds: float = math.inf,
) -> list[SideResult]:
    """Measure the sides against each other.

    Args:
        sides: who races.
        rounds: turns of each side.
        repeat: calls per turn, at most; about 50 on a GPU, whose clocks fall when it idles. With
            more than one, a turn begins with a call outside the timing and lasts about a second.
        together: let the sides get ready at once; faster, but `ready_seconds` says little then.
        limit_seconds: time after which no second or later round begins; a side that is silent for a
            minute after it counts as failed.

    Returns:
        one result per side, in order; those that failed have `error`, and the others went on.
    """
    end = time.monotonic() + limit_seconds
    with contextlib.ExitStack() as stack:
        runners = []
        for side in sides:
            runners.append(_Runner(side, stack.enter_context(_start(side, repeat)), end))
            if not together:
                runners[-1].prepare()
        if together:
            for runner in runners:
                runner.prepare()
        for number in range(rounds):
            if number and time.monotonic() > end:
                break
            for runner in runners if number % 2 == 0 else runners[::-1]:
                runner.measure()
    return [runner.result for runner in runners]


def _start(side, repeat):
    arguments = {name: getattr(side, name) for name in ("factory", "settings", "mode")}
    arguments |= {"work": asdict(side.work), "repeat": repeat}
    where = {"python": side.python, "environment": side.environment, "tree": side.tree}
    return child("__main__:measurements", arguments, **where)


class _Runner:
    """A side, its process, and the moment after which it must have answered."""

    def __init__(self, side: Side, process: Child, end: float):
        self.result, self.process, self.end = SideResult(side), process, end

    def prepare(self):
        if answer := self._answer():
            vars(self.result).update(answer)
            self._say(f"ready after {self.result.ready_seconds:.1f} s")

    def measure(self):
        if self.result.error:
            return
        self.process.ask()
        if answer := self._answer():
            self.result.seconds.append(answer.pop("seconds"))
            self.result.cpu_seconds.append(answer.pop("cpu_seconds"))
            vars(self.result).update(answer)

    def _answer(self) -> dict | None:
        try:
            limit = max(0.0, self.end - time.monotonic()) + GRACE_SECONDS
            if (answer := self.process.answer(limit)) is None:
                raise ChildFailed("ended before its turn")
            return answer
        except ChildFailed as error:
            self.result.error = str(error)
            self._say(f"failed: {str(error).splitlines()[-1]}")
            return None

    def _say(self, text):
        print(f"{self.result.side.name}: {text}", file=sys.stderr, flush=True)
