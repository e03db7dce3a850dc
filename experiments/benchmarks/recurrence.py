"""The bidirectional LSTM by itself: microseconds of a serial step, backend by backend.

    python -m experiments.benchmarks.recurrence --device=gpu

Every backend of the recurrence that runs here, beside PyTorch's nn.LSTM (cuDNN on a GPU). A serial
step is one moment of one layer, both directions at once, in one pass: those of a layer must follow
one another, so that their latency bounds the whole however fast the machine is. `loop` is one layer
whose inputs are of width 1, which leaves the recurrence alone; `trunk` is all four layers, from
spectra. `accuracy` races nobody: it tells how far the values and gradients of every backend are
from float64 on the CPU.
"""

import dataclasses
import sys

from cerberus_jax.lstm import BACKENDS, EXPERIMENTAL
from experiments.benchmarks import command, race, roofline, sides
from experiments.benchmarks import recurrence_accuracy as accuracy
from experiments.benchmarks.race import SideResult
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

BATCH = {"cpu": 8, "gpu": 64}
ACCURACY = "accuracy"
PARTS = (ACCURACY, "loop", "trunk")
PASSES = {"forward": "forward", "gradient": "forward and backward"}
ACCURACY_SECONDS = 300
ONLY_ON_GPU = (EXPERIMENTAL,)
COLUMNS = {
    "part": ("part", ""),
    "pass": ("passes", ""),
    "side": ("side", ""),
    "precision": ("precision", ""),
    "largest relative error": ("relative_error", ".1e"),
    "median s": ("median", ".4g"),
    "min s": ("minimum", ".4g"),
    "us a serial step": ("step_microseconds", ".2f"),
    "x PyTorch at this precision": ("times_best_peer", ".2f"),
    "% of roofline": ("roofline_percent", ".0f"),
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "recurrence",
        "[--batch=8] [--parts=accuracy,loop,trunk]",
        "Race the backends of the recurrence, forward and with the backward pass, beside PyTorch.",
        rounds=5,
    )
    flags.integer("batch", None, "Batch size (default: 8 on a CPU, 64 on a GPU).", lowest=1)
    flags.names("parts", None, f"Among {', '.join(PARTS)} (default: all).")
    return run_command(measure, flags, argv=argv)


def measure(flags: CommandFlags) -> None:
    """The errors, then a race for each part, pass and precision; print and write."""
    chosen, device = command.among(flags, "parts", PARTS), flags.device
    work = SMALL if flags.small else Workload(batch_size=flags.batch or BATCH[device])
    session = command.Session("recurrence", flags, COLUMNS, work)
    ours = {
        f"{sides.PROJECT} {name}": {"recurrence": name}
        for name in BACKENDS
        if name != "auto" and (device == "gpu" or name not in ONLY_ON_GPU)
    }
    who = {"forms": {"nn.LSTM": ()}, "ours": ours}
    races = [
        session.contest(
            part_of(part, work), mode, precision, labels={"part": part, "passes": passes}, **who
        )
        for part in chosen
        if part != ACCURACY
        for mode, passes in PASSES.items()
        for precision in session.precisions
    ]
    if ACCURACY in chosen:
        limit = session.share(1 + len(races)) + race.GRACE_SECONDS
        add_accuracy(session.result, device, work, min(limit, ACCURACY_SECONDS))
    session.hold(races, more)


def add_accuracy(result, device: str, work: Workload, limit_seconds: float) -> None:
    """A row for the values and one for the gradients of a backend, or a note where it failed."""
    for answer in accuracy.measure(device, work, limit_seconds=limit_seconds):
        side, precision = f"{sides.PROJECT} {answer['backend']}", answer["precision"]
        if "error" in answer:
            last = answer["error"].splitlines()[-1]
            result.notes.append(f"{side}, {precision}, {ACCURACY}, failed: {last}")
            continue
        for kind in accuracy.KINDS:
            labels = {"part": ACCURACY, "passes": kind, "side": side, "precision": precision}
            result.rows.append(labels | {"relative_error": answer[kind]})


def part_of(part: str, work: Workload) -> Workload:
    """The sizes of a part: its layers, and inputs of a width that spectra of such a window have."""
    return work if part == "trunk" else dataclasses.replace(work, layers=1, window=1)


def more(measured: SideResult, results: list[SideResult]) -> dict:
    """Time by steps that must follow one another."""
    steps = roofline.serial_steps(measured.side.work)
    steps //= 2 if measured.side.mode == "forward" else 1
    return {"step_microseconds": 1e6 * measured.median / steps}


if __name__ == "__main__":
    sys.exit(main())
