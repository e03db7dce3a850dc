"""A fair race: every side in a process of its own, turns in a circle, disturbed rounds left out.

The sides take turns within one run, in an order that is reversed every round, so that whatever
slows the machine falls on all alike. Before each turn the race waits until other programs leave the
processors alone; a turn during which they did not is marked, and its round does not count for that
side. Needs the standard library alone: each side's Python decides what else there is.
"""

import contextlib
import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from experiments.benchmarks.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
MAX_DISTURBANCE = 0.10  # of all processors, by other programs
QUIET_SECONDS = 60.0  # to wait for that, at most
SHOWN_STDERR = 2000  # characters
GRACE_SECONDS = 60.0  # after the limit of a race, in which a side must answer
WORKER = "experiments.benchmarks.race_worker"


@dataclass(frozen=True)
class Side:
    """One contestant.

    Args:
        name: in the table.
        factory: 'module:function'; function(work, mode, **settings) gives a function of nothing
            that does the work once and returns a number, which may still be on the device: float()
            of it waits.
        settings: JSON values.
        precision: of its products; sides are compared at equal precision.
        python: the interpreter that has what the factory needs.
        environment: variables set for it.
    """

    name: str
    factory: str
    settings: dict = field(default_factory=dict)
    precision: str = "float32"
    python: str = sys.executable
    environment: dict = field(default_factory=dict)


@dataclass
class SideResult:
    """What was measured of a side; lists have one entry per turn.

    `seconds` and `cpu_seconds` are those of one call. `peak_mb` is the largest resident memory of
    the process, `device_peak_mb` the largest on a GPU (None without one), `first_call_seconds` the
    first call with all compilation. `error` is None unless the side failed.
    """

    side: Side
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    disturbance: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    device_peak_mb: float | None = None
    first_call_seconds: float | None = None
    versions: dict = field(default_factory=dict)
    error: str | None = None

    @property
    def quiet(self) -> list[int]:
        """Turns that other programs did not disturb."""
        return [k for k, other in enumerate(self.disturbance) if other < MAX_DISTURBANCE]

    @property
    def clean(self) -> list[int]:
        """Turns that count: the quiet ones, or all where there is none."""
        return self.quiet or list(range(len(self.seconds)))

    @property
    def samples(self) -> list[float]:
        """Seconds of the clean turns."""
        return [self.seconds[k] for k in self.clean]

    @property
    def median(self) -> float:
        """Seconds of a call."""
        return statistics.median(self.samples)

    @property
    def median_cpu(self) -> float:
        """Processor seconds of a call."""
        return statistics.median(self.cpu_seconds[k] for k in self.clean)


def times_faster(result: SideResult, reference: SideResult) -> float:
    """How many times as fast as the reference: the ratio of the medians."""
    return reference.median / result.median


def times_faster_by_round(result: SideResult, reference: SideResult) -> float | None:
    """The median of the ratios of the rounds clean for both; None where there is none."""
    both = set(result.clean) & set(reference.clean)
    ratios = [reference.seconds[k] / result.seconds[k] for k in both]
    return statistics.median(ratios) if ratios else None


def race(
    sides: Sequence[Side],
    work: Workload,
    mode: str,
    *,
    rounds: int,
    repeat: int = 1,
    quiet_seconds: float = QUIET_SECONDS,
    together: bool = False,
    limit_seconds: float = math.inf,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> list[SideResult]:
    """Measure the sides against each other.

    Args:
        sides: who races.
        work, mode: handed to every factory.
        rounds: turns of each side.
        repeat: calls per turn, at most; about 50 on a GPU, whose clocks fall when it idles. With
            more than one, a turn begins with a call outside the timing and lasts about a second.
        quiet_seconds: how long to wait at most for a quiet machine, before first calls and turns.
        together: let the sides prepare at once; faster, but their first calls are not comparable.
        limit_seconds: time after which no second or later round begins; a side that is silent for a
            minute after it counts as failed.
        say: takes messages about the progress.

    Returns:
        one result per side, in order; those that failed have `error`, and the others went on.
    """
    results, end = [SideResult(side) for side in sides], time.monotonic() + limit_seconds

    def settle():
        wait_for_quiet(min(quiet_seconds, end - time.monotonic()))

    with contextlib.ExitStack() as stack:
        runners = []
        for result in results:
            if not together:
                settle()
            runner = stack.enter_context(_Runner(result, work, mode, repeat, end))
            runners.append(runner)
            if not together:
                runner.wait_until_ready(say)
        if together:
            for runner in runners:
                runner.wait_until_ready(say)
        for number in range(rounds):
            if number and time.monotonic() > end:
                break
            for runner in runners if number % 2 == 0 else runners[::-1]:
                if runner.result.error is None:
                    settle()
                    runner.turn(say)
    return results


class _Runner:
    """A side's process."""

    def __init__(self, result, work, mode, repeat, end):
        self.result, self.repeat, self.end = result, repeat, end
        side = result.side
        spec = {
            "factory": side.factory,
            "settings": side.settings,
            "work": asdict(work),
            "mode": mode,
            "repeat": repeat,
        }
        self.command = [side.python, "-m", WORKER, json.dumps(spec)]
        self.process, self.stderr = None, None

    def __enter__(self):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.stderr = tempfile.TemporaryFile("w+", errors="replace")
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.stderr,
                text=True,
                env=os.environ | {"PYTHONPATH": path} | self.result.side.environment,
                start_new_session=True,  # Ctrl-C reaches the race alone, which ends all of them
            )
        except OSError:
            self.stderr.close()
            raise
        return self

    def __exit__(self, *error):
        with contextlib.suppress(ProcessLookupError):  # with the compilers it may have started
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def wait_until_ready(self, say):
        found = self._read(say)
        if found:
            self.result.first_call_seconds = found["first_call_seconds"]
            self.result.versions = found["versions"]
            say(f"{self.result.side.name}: ready, first call {found['first_call_seconds']:.1f} s")

    def turn(self, say):
        busy, began = busy_seconds(), time.monotonic()
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: reading tells why
        found = self._read(say)
        if not found:
            return
        result, wall = self.result, time.monotonic() - began
        # Counted in ticks, of which each processor may be one off.
        error = os.cpu_count() / os.sysconf("SC_CLK_TCK")
        others = max(0.0, busy_seconds() - busy - found["all_cpu_seconds"] - error)
        result.seconds.append(found["seconds"])
        result.cpu_seconds.append(found["cpu_seconds"])
        result.disturbance.append(others / (wall * os.cpu_count()))
        result.values.append(found["value"])
        result.peak_mb, result.device_peak_mb = found["peak_mb"], found["device_peak_mb"]

    def _read(self, say) -> dict | None:
        line = self.process.stdout.readline() if self._answers() else None
        if line:
            return json.loads(line)
        if line is None:
            why = f"silent for {GRACE_SECONDS:.0f} s after the end of the race"
        else:
            why = f"ended with code {self.process.wait()}"
        self.stderr.seek(0)
        tail = self.stderr.read()[-SHOWN_STDERR:].strip()
        self.result.error = f"{why}: {tail or 'nothing on its stderr'}"
        say(f"{self.result.side.name}: failed: {tail.splitlines()[-1] if tail else why}")
        return None

    def _answers(self) -> bool:
        """Waits for a line, or for the end of the process; whether one of them came in time."""
        if math.isinf(self.end):
            return True
        limit = max(0.0, self.end - time.monotonic()) + GRACE_SECONDS
        return bool(select.select([self.process.stdout], [], [], limit)[0])


def usable_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def busy_seconds() -> float:
    """Processor seconds that all programs together have used; 0 where the system does not tell."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:9])
    except FileNotFoundError:
        return 0.0
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(limit_seconds: float) -> bool:
    """Wait until other programs leave the processors alone, at most so long; whether they did."""
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        busy, began = busy_seconds(), time.monotonic()
        time.sleep(0.3)
        spent = (time.monotonic() - began) * os.cpu_count()
        if (busy_seconds() - busy) / spent < MAX_DISTURBANCE:
            return True
    return False
