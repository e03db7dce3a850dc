"""The one form of all benchmark results: JSON for programs, a Markdown table for readers."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from experiments.benchmarks import machine as machines
from experiments.benchmarks.race import SideResult

BETTER = ("lower", "higher")


@dataclass
class Figures:
    """Results of one benchmark.

    Args:
        benchmark: its name.
        machine: from machine.measure.
        config: the sizes and settings that all rows share.
        rows: from `row`.
        columns: {heading: [key of a row, format]}: what the table shows, where any row has it.
        notes: sentences under the table.
    """

    benchmark: str
    machine: dict
    config: dict
    rows: list[dict] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def row(
    name: str, *, unit: str, better: str, median: float | None, samples: list[float], **more
) -> dict:
    """One row; `name` must be the same in every run, for comparisons between runs.

    Raises:
        ValueError: if `better` is neither 'lower' nor 'higher'.
    """
    if better not in BETTER:
        raise ValueError(f"better: one of {', '.join(BETTER)}, got {better!r}")
    found = {"name": name, "unit": unit, "better": better, "median": median, "samples": samples}
    return found | more


def timing(name: str, result: SideResult, **more) -> dict:
    """The row of a side's time per call, in seconds, with all else that was measured of it.

    A side that failed has no median and says why under `error`.
    """
    found = {
        "precision": result.side.precision,
        "peak_mb": result.peak_mb,
        "device_peak_mb": result.device_peak_mb,
        "first_call_seconds": result.first_call_seconds,
        "versions": result.versions,
        "error": result.error,
    }
    if result.seconds:
        found |= {
            "least": min(result.samples),
            "cpu_seconds": result.median_cpu,
            "quiet_rounds": f"{len(result.quiet)}/{len(result.seconds)}",
        }
    median = result.median if result.seconds else None
    samples = result.samples if result.seconds else []
    return row(name, unit="s", better="lower", median=median, samples=samples, **found, **more)


def write(figures: Figures, path: str | Path) -> list[Path]:
    """Write PATH as JSON and the table beside it as .md; returns both paths."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = asdict(figures)
    whole |= {"date": figures.machine["date"], "commit": figures.machine["commit"]}
    table = path.with_suffix(".md")
    path.write_text(json.dumps(whole, indent=1) + "\n")
    table.write_text(markdown(figures) + "\n")
    return [path, table]


def read(path: str | Path) -> Figures:
    """The figures of a file written by `write`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is none of ours.
    """
    path = Path(path)
    try:
        whole = json.loads(path.read_text())
        return Figures(**{name: whole[name] for name in Figures.__dataclass_fields__})
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: a file written by a benchmark's --out expected, got one that lacks "
            f"{error if isinstance(error, KeyError) else 'its form'}"
        ) from None


def markdown(figures: Figures) -> str:
    """Machine, table and notes."""
    lines = [f"{figures.benchmark}: {machines.words(figures.machine)}", ""]
    filled = {
        heading: form
        for heading, form in figures.columns.items()
        if any(one.get(form[0]) is not None for one in figures.rows)
    }
    if filled:
        lines.append("| " + " | ".join(filled) + " |")
        lines.append("|---" * len(filled) + "|")
    for one in figures.rows:
        lines.append("| " + " | ".join(_cells(one, filled)) + " |")
    if figures.notes:
        lines += ["", *(f"* {note}" for note in figures.notes)]
    return "\n".join(lines)


def _cells(one, columns):
    for key, form in columns.values():
        value = one.get(key)
        yield "" if value is None else format(value, form)
