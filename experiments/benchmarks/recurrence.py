"""The bidirectional LSTM by itself: microseconds of a serial step, backend by backend.

    python -m experiments.benchmarks.recurrence --device=gpu

Every backend of the recurrence that runs here, beside PyTorch's nn.LSTM, flax's own cells and, on
a GPU, JAX's binding of cuDNN. A serial step is one moment of one layer, both directions at once, in
one pass: those of a layer must follow one another, so that their latency bounds the whole however
fast the machine is. `loop` is one layer whose inputs are of width 1, which leaves the recurrence
alone; `layer` is an inner layer; `trunk` is all four, from spectra. `accuracy` races nobody: it
tells how far the values and gradients of every backend are from float64 on the CPU.
"""

import dataclasses
import sys
import time
from dataclasses import replace

from cerberus_jax.lstm import BACKENDS
from experiments.benchmarks import command, contest, race, roofline, sides
from experiments.benchmarks import recurrence_accuracy as accuracy
from experiments.benchmarks.figures import Figures, row, timing
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.recurrence_ours import MODES
from experiments.benchmarks.workload import SMALL, Workload
from experiments.config.command_line import CommandFlags, run_command

BATCH = {"cpu": 8, "gpu": 64}
ACCURACY = "accuracy"
PARTS = (ACCURACY, "loop", "layer", "trunk")
ACCURACY_SECONDS = 300
ONLY_ON_GPU = ("persistent",)
OURS = "experiments.benchmarks.recurrence_ours:make"
PEER = "experiments.benchmarks.recurrence_peer:make"
COLUMNS = {
    "part": ["part", ""],
    "pass": ["passes", ""],
    "side": ["side", ""],
    "precision": ["precision", ""],
    "largest relative error": ["relative_error", ".1e"],
    "median s": ["seconds", ".4g"],
    "us a serial step": ["step_microseconds", ".2f"],
    "roofline, us": ["roofline_microseconds", ".2f"],
    "% of roofline": ["roofline_percent", ".0f"],
    "x PyTorch at this precision": ["times_peer", ".2f"],
}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = command.race_flags(
        "recurrence",
        "[--batch=8] [--parts=accuracy,loop,layer,trunk]",
        "Race the backends of the recurrence, forward and with the backward pass, beside PyTorch,\n"
        "flax and cuDNN.",
        rounds=5,
    )
    flags.string("batch", "", "Batch size (default: 8 on a CPU, 64 on a GPU).")
    flags.string("parts", ",".join(PARTS), f"Among {', '.join(PARTS)}.")
    return run_command(_recurrence, flags, argv=argv)


def _recurrence(flags: CommandFlags) -> None:
    chosen = command.options(flags)
    flags.batch = flags.batch or str(BATCH[chosen.device])
    work = SMALL if chosen.small else Workload(batch_size=command.count(flags, "batch"))
    parts = command.among(flags, "parts", PARTS)
    found = command.measured_machine(chosen)
    config = dataclasses.asdict(work) | {"device": chosen.device}
    figures = Figures("recurrence", found, config, columns=COLUMNS, notes=chosen.notes)
    contestants = race_sides(chosen)
    races = [(part, mode) for part in parts if part != ACCURACY for mode in MODES]
    if ACCURACY in parts:
        left = max(0.0, chosen.end - time.monotonic()) / (1 + len(races))
        add_accuracy(figures, work, min(left + race.GRACE_SECONDS, ACCURACY_SECONDS))
        command.keep(figures, chosen.out)
    for number, (part, mode) in enumerate(races):
        of_part = part_of(part, work)
        left = len(races) - number
        results = contest.hold(contestants, of_part, mode, chosen, races_left=left)
        figures.rows += [_row(part, mode, one, results, of_part, found) for one in results]
        figures.notes += contest.failures(results)
        command.keep(figures, chosen.out)
    command.finish(figures, chosen.out)


def add_accuracy(figures: Figures, work: Workload, limit_seconds: float) -> None:
    """A row for the values and one for the gradients of a backend, or a note where it failed."""
    device = figures.config["device"]
    for one in accuracy.measure(device, work, limit_seconds=limit_seconds):
        side, precision = f"cerberus_jax {one['backend']}", one["precision"]
        if "error" in one:
            figures.notes.append(f"{side}, {precision}, {ACCURACY}, failed: {one['error']}")
            continue
        for kind in ("values", "gradients"):
            more = {"part": ACCURACY, "passes": kind, "side": side, "precision": precision}
            more |= {"median": one[kind], "samples": [one[kind]], "relative_error": one[kind]}
            name = f"{side}, {precision}, {ACCURACY} of {kind}"
            figures.rows.append(row(name, unit="relative error", better="lower", **more))


def part_of(part: str, work: Workload) -> Workload:
    """The sizes of a part: its layers, and inputs of a width that spectra of such a window have."""
    if part == "trunk":
        return work
    width = {"loop": 1, "layer": 2 * work.hidden}[part]
    return replace(work, layers=1, window=2 * width - 1)


def race_sides(chosen: command.Options) -> list[Side]:
    """All sides of a race; flax and JAX's binding of cuDNN have full precision alone."""
    device, full = chosen.device, sides.FULL_PRECISION[chosen.device]
    backends = [backend for backend in BACKENDS if backend != "auto"]
    if device == "cpu":
        backends = [backend for backend in backends if backend not in ONLY_ON_GPU]
    found = []
    for precision in (full,) if chosen.small else (full, "bfloat16"):
        environment = sides.environment(device, precision)
        if chosen.torch:
            settings = {"device": device, "precision": precision}
            found.append(Side("PyTorch", PEER, settings, precision, chosen.peer_python))
        for backend in backends:
            settings = {"kind": "trunk", "recurrence": backend}
            settings["precision"] = sides.of_network(precision)
            name = f"cerberus_jax {backend}"
            found.append(Side(name, OURS, settings, precision, environment=environment))
    environment = sides.environment(device, full)
    for kind in ("linen", "cudnn") if device == "gpu" else ("linen",):
        name = {"linen": "flax.linen", "cudnn": "jax.experimental.rnn"}[kind]
        found.append(Side(name, OURS, {"kind": kind}, full, environment=environment))
    return found


def _row(part, mode, result: SideResult, results, work, found):
    precision = result.side.precision
    passes = "forward" if mode == "forward" else "forward and backward"
    more = {"part": part, "passes": passes, "side": result.side.name}
    if result.seconds:
        steps = serial_steps(work, mode)
        least = roofline.roofline_seconds(roofline_parts(work, mode, precision), found, precision)
        more |= {
            "seconds": result.median,
            "step_microseconds": 1e6 * result.median / steps,
            "roofline_microseconds": 1e6 * least / steps,
            "roofline_percent": 100 * least / result.median,
        }
        for peer in results:
            if peer.side.factory == PEER and peer.seconds and peer.side.precision == precision:
                more["times_peer"] = race.times_faster(result, peer)
    return timing(f"{result.side.name}, {precision}, {part}, {passes}", result, **more)


def serial_steps(work: Workload, mode: str) -> int:
    """Steps that must follow one another."""
    both = roofline.serial_steps(work)
    return both // 2 if mode == "forward" else both


def roofline_parts(work: Workload, mode: str, precision: str) -> list[roofline.Part]:
    """The parts that belong to the layers; a forward pass alone keeps nothing for a backward."""
    parts = {"forward": roofline.inference, "gradient": roofline.training_step}[mode](
        work, precision
    )
    return [part for part in parts if part.name.startswith(("trunk", "recurren"))]


if __name__ == "__main__":
    sys.exit(main())
