"""Which figures moved between two results of the same benchmark, with the noise taken into account.

    python -m experiments.benchmarks.compare BEFORE.json AFTER.json [--reference=ROW] [--fail]

or with two folders written by benchmarks.all, whose results of the same names are compared.

A figure moved if the interval of the ratio of its medians (bootstrap over the samples of both
files) leaves out 1 and the ratio itself is at least `--least` away from it. Samples of one run know
nothing of what slows a machine down for an hour; a row of the same run whose code did not change,
such as the PyTorch side, does: with `--reference` every figure of its unit is taken relative to it.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.benchmarks.figures import BETTER, Figures, read
from experiments.benchmarks.machine import FILE as MACHINE
from experiments.benchmarks.machine import words
from experiments.config.command_line import CommandFlags, run_command

LEAST = 0.03
# With fewer samples on either side their spread says too little; then this is the least change.
FEWEST_SAMPLES, MIN_WITHOUT_NOISE = 5, 0.10
CONFIDENCE, RESAMPLES, SEED = 0.99, 4000, 0
VERDICTS = ("worse", "better", "unchanged")


@dataclass(frozen=True)
class Movement:
    """One figure in both files.

    `ratio` is the median after over that before, `interval` its confidence interval (None if there
    are too few samples), `verdict` one of VERDICTS.
    """

    name: str
    unit: str
    before: float
    after: float
    ratio: float
    interval: tuple[float, float] | None
    verdict: str


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_compare, _flags(), argv=argv)


class _Flags(CommandFlags):
    """Flags, and the two files as the arguments without a name."""

    files: tuple[str, ...] = ()

    def __call__(self, argv, known_only=False):
        command, *files = super().__call__(argv, known_only)
        self.__dict__["files"] = tuple(files)
        return [command]


def _flags() -> _Flags:
    flags = _Flags(
        "python -m experiments.benchmarks.compare BEFORE.json AFTER.json [--fail]",
        "Tell which figures moved between two results of the same benchmark on the same machine,\n"
        "or between the results of two folders.",
    )
    flags.string("least", f"{LEAST:g}", "The least change of a median that counts, as a share.")
    flags.string("reference", "", "A row whose code did not change: others are relative to it.")
    flags.boolean("fail", "Exit with 1 if a figure got worse.")
    flags.boolean("force", "Compare also across machines and across sizes.")
    return flags


def _compare(flags: _Flags) -> None:
    least, worse = _share(flags.least), []
    for number, pair in enumerate(pairs(flags.files)):
        before, after = map(_checked, pair)
        check_comparable(before, after, force=flags.force)
        found = movements(before, after, least=least, reference=flags.reference)
        print("\n" * bool(number) + table(before, after, found))
        worse += [one.name for one in found if one.verdict == "worse"] + _lost(before, after)
    if flags.fail and worse:
        raise ValueError(f"worse or lost: {', '.join(worse)}")


def pairs(paths: Sequence[str]) -> list[tuple[Path, Path]]:
    """Two files, or the files of the same names in two folders written by benchmarks.all.

    Raises:
        ValueError: if there are not two paths of the same kind, or the folders share no result.
    """
    if len(paths) != 2:
        raise ValueError(
            f"two result files or folders expected, got {len(paths)}; "
            "usage: python -m experiments.benchmarks.compare BEFORE.json AFTER.json"
        )
    before, after = map(Path, paths)
    if not (before.is_dir() or after.is_dir()):
        return [(before, after)]
    names = {path.name for path in after.glob("*.json")} - {MACHINE}
    found = [(before / name, after / name) for name in sorted(names) if (before / name).is_file()]
    if not found:
        raise ValueError(
            f"{before} and {after}: two folders expected that share a result NAME.json"
        )
    return found


def _share(text):
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share < 1:
        raise ValueError(f"least: a share from 0 to 1 expected, got {text!r}")
    return share


def _checked(path) -> Figures:
    """The figures of a file whose rows have what a comparison needs."""
    found = read(path)
    for row in found.rows:
        samples = row.get("samples")
        if (
            not {"name", "unit"} <= row.keys()
            or row.get("better") not in BETTER
            or not isinstance(samples, list)
            or not all(isinstance(sample, int | float) and sample > 0 for sample in samples)
        ):
            raise ValueError(
                f"{path}: rows with name, unit, better ({' or '.join(BETTER)}) and positive "
                f"samples expected, got {str(row)[:200]}"
            )
    return found


def check_comparable(before: Figures, after: Figures, *, force: bool = False) -> None:
    """See that two results measured the same thing on the same machine.

    Args:
        before, after: the results.
        force: allow another machine or other sizes; never another benchmark.

    Raises:
        ValueError: naming what differs and both values.
    """
    if before.benchmark != after.benchmark:
        raise ValueError(
            f"results of different benchmarks: {before.benchmark} and {after.benchmark}"
        )
    if force:
        return
    old, new = ({"device": one.machine.get("device")} | one.config for one in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        if old.get(name) != new.get(name):
            raise ValueError(
                f"results of different machines or sizes: {name} is {old.get(name)!r} before and "
                f"{new.get(name)!r} after; --force compares them all the same"
            )


def movements(
    before: Figures, after: Figures, *, least: float = LEAST, reference: str = ""
) -> list[Movement]:
    """The figures that both results have, in the order of the second.

    Args:
        before, after: the results.
        least: the least change of a median that counts, as a share of it.
        reference: a row whose code did not change; figures of its unit are taken relative to it.

    Raises:
        ValueError: if a row changed its unit, or a result lacks the reference.
    """
    old, new = _rows(before), _rows(after)
    for rows, when in ((old, "before"), (new, "after")):
        if reference and reference not in rows:
            raise ValueError(
                f"reference: no row {reference!r} in the result {when}; it has {', '.join(rows)}"
            )
    found = []
    for name, row in new.items():
        if name not in old:
            continue
        if (old[name]["unit"], old[name]["better"]) != (row["unit"], row["better"]):
            raise ValueError(
                f"row {name!r}: {old[name]['unit']} ({old[name]['better']} is better) before, "
                f"{row['unit']} ({row['better']} is better) after"
            )
        pair = (old[name], row)
        drift = (old[reference], new[reference]) if reference and name != reference else None
        if drift and drift[0]["unit"] != row["unit"]:
            drift = None
        found.append(_movement(*pair, drift, least))
    return found


def _rows(figures) -> dict[str, Mapping]:
    """By name, without those of sides that failed."""
    return {row["name"]: row for row in figures.rows if row["samples"]}


def _lost(before, after) -> list[str]:
    """Rows that are no longer there, or failed."""
    return [name for name in _rows(before) if name not in _rows(after)]


def _movement(before, after, drift, least) -> Movement:
    old, new = np.median(before["samples"]), np.median(after["samples"])
    ratio = new / old
    if drift:
        ratio /= np.median(drift[1]["samples"]) / np.median(drift[0]["samples"])
    judged = [before, after, *(drift or ())]
    interval = None
    if min(len(row["samples"]) for row in judged) >= FEWEST_SAMPLES:
        interval = _interval(*(row["samples"] for row in judged))
    verdict = "unchanged"
    if _moved(ratio, interval, least):
        verdict = "better" if (ratio < 1) == (after["better"] == "lower") else "worse"
    return Movement(
        after["name"], after["unit"], float(old), float(new), float(ratio), interval, verdict
    )


def _moved(ratio, interval, least):
    """A change by a factor counts as much upwards as downwards."""
    change = max(ratio, 1 / ratio) - 1
    if interval is None:
        return change >= max(least, MIN_WITHOUT_NOISE)
    return change >= least and not interval[0] <= 1 <= interval[1]


def _interval(before, after, drift_before=(1.0,), drift_after=(1.0,)) -> tuple[float, float]:
    """Of the ratio of medians: percentiles over resamples of all samples."""
    rng = np.random.default_rng(SEED)

    def medians(samples: Sequence[float]):
        drawn = rng.choice(np.asarray(samples), (RESAMPLES, len(samples)))
        return np.median(drawn, axis=1)

    ratios = medians(after) / medians(before) * (medians(drift_before) / medians(drift_after))
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(ratios, [outside, 100 - outside])
    return float(low), float(high)


def table(before: Figures, after: Figures, found: Sequence[Movement]) -> str:
    """What moved first, then what did not, then the rows that only one result has."""
    lines = [
        f"{after.benchmark}",
        f"before: {words(before.machine)}",
        f"after: {words(after.machine)}",
        "",
        f"| | figure | before | after | ratio | {CONFIDENCE:.0%} interval |",
        "|---|---|---|---|---|---|",
    ]
    for verdict in VERDICTS:
        lines += [_line(one) for one in found if one.verdict == verdict]
    lines += [f"| lost | {name} | | | | |" for name in _lost(before, after)]
    lines += [f"| new | {name} | | | | |" for name in _lost(after, before)]
    return "\n".join(lines)


def _line(one: Movement) -> str:
    interval = "too few samples" if one.interval is None else "{:.3f}..{:.3f}".format(*one.interval)
    return (
        f"| {one.verdict} | {one.name} | {one.before:.4g} {one.unit} | {one.after:.4g} {one.unit} "
        f"| {one.ratio:.3f} | {interval} |"
    )


if __name__ == "__main__":
    sys.exit(main())
