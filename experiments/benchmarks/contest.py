"""Who races whom in a benchmark of this project beside PyTorch, and how the results compare."""

import json
import time

from experiments.benchmarks import race, sides
from experiments.benchmarks.command import Options, among
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import Workload
from experiments.config.command_line import CommandFlags

PUBLISHED, EAGER = "published", "eager"
Forms = dict[str, tuple[str, ...]]
"""Forms of PyTorch by name, as variants of peer.py."""


COLUMNS = {
    "side": ["side", ""],
    "precision": ["precision", ""],
    "median s": ["median", ".4g"],
    "min s": ["least", ".4g"],
    "quiet rounds": ["quiet_rounds", ""],
    "CPU s": ["cpu_seconds", ".4g"],
    "peak RSS MB": ["peak_mb", ".0f"],
    "GPU peak MB": ["device_peak_mb", ".0f"],
    "first call s": ["first_call_seconds", ".1f"],
    "x published": ["times_published", ".2f"],
    "memory of published": ["memory_of_published", ".2f"],
    "x best PyTorch at this precision": ["times_best_peer", ".2f"],
    "by rounds": ["times_best_peer_by_round", ".2f"],
    "memory of leanest": ["memory_of_leanest_peer", ".2f"],
    "% of roofline": ["roofline_percent", ".0f"],
}
"""What a table shows of a side: a heading, and the key of a row with its format."""


def add_flags(flags: CommandFlags) -> None:
    """Flags that say who takes part."""
    flags.string("precision", "", "Precisions, e.g. --precision=bfloat16 (default: all).")
    flags.string("forms", "", "Forms of PyTorch, e.g. --forms=eager,compile (default: all).")
    flags.string(
        "ours",
        "",
        "More sides of this project by their settings, separated by semicolons, e.g. "
        "--ours='recurrence=scan;microbatch_size=4,recurrence=scan'.",
    )


def contests(
    flags: CommandFlags,
    chosen: Options,
    *,
    forms: Forms,
    ours: dict[str, dict],
    large_pages: bool,
) -> list[list[Side]]:
    """The sides of each race: all in one, but on a GPU, whose memory they share, one race for each
    precision. The published form is raced in full precision alone.

    Args:
        flags: with those of `add_flags`.
        chosen: the other flags, checked.
        forms: the forms of PyTorch that there are.
        ours: settings of this project's sides, by name; --ours adds to them.
        large_pages: whether they get them on a CPU, see sides.ours.

    Raises:
        ValueError: if a flag is wrong.
    """
    names = among(flags, "forms", list(forms))
    if chosen.small and not flags.forms:  # compiling takes PyTorch a minute
        names = [name for name in names if name in (PUBLISHED, EAGER)]
    if not chosen.torch:
        names = []
    ours = ours | _settings(flags)
    full = sides.FULL_PRECISION[chosen.device]
    groups = []
    for precision in among(flags, "precision", [full, "bfloat16"]):
        where = {"precision": precision, "device": chosen.device}
        own = where | {"large_pages": large_pages}
        groups.append(
            [
                sides.peer(name, *forms[name], python=chosen.peer_python, **where)
                for name in names
                if name != PUBLISHED or precision == full
            ]
            + [sides.ours(name, settings, **own) for name, settings in ours.items()]
        )
    return groups if chosen.device == "gpu" else [[side for group in groups for side in group]]


def _settings(flags):
    """Settings of the sides that --ours adds, by name."""
    found = {}
    for text in filter(None, flags.ours.split(";")):
        pairs = [part.partition("=") for part in text.split(",")]
        if not all(name and sign and value for name, sign, value in pairs):
            raise ValueError(f"ours: NAME=VALUE,NAME=VALUE expected, got {text!r}")
        found[f"cerberus_jax {text}"] = {name.strip(): _value(value) for name, _, value in pairs}
    return found


def _value(text):
    """The number or truth value that a text stands for, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def hold(
    sides_: list[Side], work: Workload, mode: str, chosen: Options, *, races_left: int = 1
) -> list[SideResult]:
    """The race, by the flags; on a GPU the sides prepare together.

    It gets its part of the time that is left for this and the following races; where there is none,
    its sides have failed.
    """
    left = chosen.end - time.monotonic()
    if left <= 0:
        return [SideResult(side, error="not raced: the time (--budget) was up") for side in sides_]
    return race.race(
        sides_,
        work,
        mode,
        rounds=chosen.rounds,
        repeat=chosen.repeat,
        together=chosen.small or chosen.device == "gpu",
        limit_seconds=left / races_left,
        # A GPU's kernels run whatever else the processors do.
        quiet_seconds=0 if chosen.small or chosen.device == "gpu" else race.QUIET_SECONDS,
    )


def failures(results: list[SideResult]) -> list[str]:
    """A note for each side that failed."""
    return [
        f"{one.side.name}, {one.side.precision}, failed: {one.error.splitlines()[-1]}"
        for one in results
        if one.error
    ]


def comparisons(result: SideResult, results: list[SideResult]) -> dict:
    """How a side compares with the others of its race; what cannot be said is left out.

    Returns:
        times_published, memory_of_published: beside PyTorch's published form.
        times_best_peer, times_best_peer_by_round: beside the fastest of PyTorch's forms at equal
            precision, by medians and by the median of the rounds' ratios.
        memory_of_leanest_peer: beside the smallest of these.
    """
    peers = [one for one in results if sides.is_peer(one.side) and one.seconds]
    found = {}
    for one in peers:
        if one.side.name == sides.peer_name(PUBLISHED):
            found["times_published"] = race.times_faster(result, one)
            found["memory_of_published"] = _memory(result) / _memory(one)
    if same := [one for one in peers if one.side.precision == result.side.precision]:
        best = min(same, key=lambda one: one.median)
        found["times_best_peer"] = race.times_faster(result, best)
        found["times_best_peer_by_round"] = race.times_faster_by_round(result, best)
        found["memory_of_leanest_peer"] = _memory(result) / min(map(_memory, same))
    return found


def _memory(result):
    """The memory that runs out first: the GPU's, if there is one."""
    return result.device_peak_mb or result.peak_mb
