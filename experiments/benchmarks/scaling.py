"""What a training step costs as the work grows: curves over batch, frames, instruments, devices.

    python -m experiments.benchmarks.scaling --device=cpu

The points of a curve race each other, so that all of them have the same machine. `of linear` is the
time beside that of the curve's first point in proportion: below 1, something is paid only once. On
a CPU the devices are simulated: they share its cores, so a point shows what spreading a batch
costs, not what more devices would gain. On a GPU this curve is left out.
"""

import dataclasses
import os
import sys
from dataclasses import dataclass, replace

from experiments.benchmarks import command, contest, sides
from experiments.benchmarks.figures import Figures, timing
from experiments.benchmarks.race import Side
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

SIDE = "experiments.benchmarks.scaling_side:make"
POINTS = {
    "cpu": {
        "batch": (1, 2, 4, 8, 16, 32),
        "frames": (101, 201, 401, 801),
        "instruments": (1, 2, 3, 4, 5),
        "devices": (1, 2, 4, 8),
    },
    "gpu": {
        "batch": (8, 16, 32, 64, 128, 256),
        "frames": (101, 201, 401, 801),
        "instruments": (1, 3, 5),
    },
}
POINTS_SMALL = {"batch": (1, 2), "frames": (11, 21), "instruments": (1, 2), "devices": (1, 2)}
BATCH = {"cpu": 8, "gpu": 64}  # of the other axes
COLUMNS = {
    "axis": ["axis", ""],
    "value": ["point", ""],
    "median s": ["median", ".4g"],
    "s an example": ["seconds_per_example", ".4g"],
    "of linear": ["of_linear", ".2f"],
    "from the point before": ["slope", ".4g"],
    "peak RSS MB": ["peak_mb", ".0f"],
    "GPU peak MB": ["device_peak_mb", ".0f"],
}


@dataclass(frozen=True)
class Point:
    """One point of a curve: its value, sizes, and the environment of its process."""

    axis: str
    value: int
    sizes: dict
    environment: dict


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "scaling",
        "[--axes=batch,frames,instruments,devices]",
        "Seconds of a training step over batch size, frames, instruments and devices.",
        rounds=5,
    )
    flags.string("axes", "", f"Among {', '.join(POINTS['cpu'])} (default: all of the device).")
    flags.string("precision", "", "Of the products (default: full on a CPU, bfloat16 on a GPU).")
    return run_command(_scaling, flags, argv=argv)


def _scaling(flags: CommandFlags) -> None:
    chosen = command.options(flags)
    device, axes = chosen.device, command.among(flags, "axes", tuple(POINTS[chosen.device]))
    known = (sides.FULL_PRECISION[device], "bfloat16")
    flags.precision = flags.precision or known[device == "gpu"]
    (precision,) = command.among(flags, "precision", known)[:1]
    work = SMALL if chosen.small else Workload(batch_size=BATCH[device])
    found = command.measured_machine(chosen)
    config = dataclasses.asdict(work) | {"device": device, "precision": precision}
    figures = Figures("scaling", found, config, columns=COLUMNS)
    for number, axis in enumerate(axes):
        points = points_of(axis, work, chosen)
        contestants = [_side(point, device, precision) for point in points]
        left = len(axes) - number
        results = contest.hold(contestants, work, "train", chosen, races_left=left)
        figures.rows += rows(points, results, work)
        figures.notes += contest.failures(results)
        command.keep(figures, chosen.out)
    command.finish(figures, chosen.out)


def points_of(axis: str, work: Workload, chosen: command.Options) -> list[Point]:
    """The points of a curve, in rising order."""
    values = POINTS_SMALL if chosen.small else POINTS[chosen.device]
    sizes = {
        "batch": lambda value: {"batch_size": value},
        "frames": lambda value: {"seconds": (value - 1) * work.hop / work.sample_rate_hz},
        "instruments": lambda value: {"num_instruments": value},
        "devices": lambda value: {},
    }[axis]
    return [Point(axis, value, sizes(value), _devices(axis, value)) for value in values[axis]]


def _devices(axis, value):
    if axis != "devices":
        return {}
    own = os.environ.get("XLA_FLAGS", "")
    return {"XLA_FLAGS": f"{own} --xla_force_host_platform_device_count={value}".strip()}


def _side(point, device, precision) -> Side:
    name = f"{point.axis} {point.value}"
    side = sides.ours(name, {"sizes": point.sizes}, precision=precision, device=device)
    return replace(side, factory=SIDE, environment=side.environment | point.environment)


def rows(points: list[Point], results: list, work: Workload) -> list[dict]:
    """A row per point; ratios are to the first point that did not fail."""
    found, first, before = [], None, None
    for point, result in zip(points, results, strict=True):
        more = {"axis": point.axis, "point": point.value}
        if result.seconds:
            first, now = first or (point.value, result.median), (point.value, result.median)
            examples = point.sizes.get("batch_size", work.batch_size)
            more["seconds_per_example"] = result.median / examples
            grown = 1 if point.axis == "devices" else point.value / first[0]
            more["of_linear"] = result.median / (first[1] * grown)
            if before:
                more["slope"] = (now[1] - before[1]) / (now[0] - before[0])
            before = now
        name = f"{point.axis} {point.value}, {result.side.precision}"
        found.append(timing(name, result, **more))
    return found


if __name__ == "__main__":
    sys.exit(main())
