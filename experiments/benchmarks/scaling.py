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

from experiments.benchmarks import command, sides
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

POINTS = {
    "batch": {"cpu": (1, 2, 4, 8, 16, 32), "gpu": (8, 16, 32, 64, 128, 256), "small": (1, 2)},
    "frames": {"cpu": (101, 201, 401, 801), "gpu": (101, 201, 401, 801), "small": (11, 21)},
    "instruments": {"cpu": (1, 2, 3, 4, 5), "gpu": (1, 3, 5), "small": (1, 2)},
    "devices": {"cpu": (1, 2, 4, 8), "small": (1, 2)},
}
BATCH = {"cpu": 8, "gpu": 64}  # of the other axes
COLUMNS = {
    "axis": ("axis", ""),
    "value": ("point", ""),
    "precision": ("precision", ""),
    "median s": ("median", ".4g"),
    "min s": ("minimum", ".4g"),
    "s an example": ("seconds_per_example", ".4g"),
    "of linear": ("of_linear", ".2f"),
    "peak RSS MB": ("peak_mb", ".0f"),
    "GPU peak MB": ("device_peak_mb", ".0f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "scaling",
        "[--axes=batch,frames,instruments,devices]",
        "Seconds of a training step over batch size, frames, instruments and devices.",
        rounds=5,
    )
    flags.names("axes", None, f"Among {', '.join(POINTS)} (default: all of the device).")
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """A race for each curve, at the precision that the device trains fastest with."""
    device = flags.device
    flags.precision = flags.precision or ["float32" if device == "cpu" else "bfloat16"]
    work = SMALL if flags.small else Workload(batch_size=BATCH[device])
    axes = command.among(flags, "axes", [axis for axis in POINTS if device in POINTS[axis]])
    session = command.Session("scaling", flags, COLUMNS, work)
    races = [
        curve(axis, POINTS[axis]["small" if flags.small else device], work, precision, device)
        for axis in axes
        for precision in session.precisions
    ]
    session.hold(races, more)


def curve(axis: str, values: tuple, work: Workload, precision: str, device: str) -> list[Side]:
    """A side for each point, in rising order."""
    points, xla_flags = [], os.environ.get("XLA_FLAGS", "")
    for value in values:
        sizes = {
            "batch": {"batch_size": value},
            "frames": {"seconds": (value - 1) * work.hop / work.sample_rate_hz},
            "instruments": {"num_instruments": value},
            "devices": {},
        }[axis]
        of_point = dataclasses.replace(work, **sizes)
        side = sides.ours(sides.PROJECT, of_point, "train", precision, device)
        if axis == "devices":
            simulated = f"{xla_flags} --xla_force_host_platform_device_count={value}"
            side.environment["XLA_FLAGS"] = simulated.strip()
        points.append(dataclasses.replace(side, labels={"axis": axis, "point": value}))
    return points


def more(measured: SideResult, results: list[SideResult]) -> dict:
    """Ratios to the curve's first point that was measured."""
    first = next(result for result in results if result.seconds)
    axis, value = measured.side.labels["axis"], measured.side.labels["point"]
    growth = 1 if axis == "devices" else value / first.side.labels["point"]
    return {
        "seconds_per_example": measured.median / measured.side.work.batch_size,
        "of_linear": measured.median / (first.median * growth),
    }


if __name__ == "__main__":
    sys.exit(main())
