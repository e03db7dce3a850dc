"""The table of a sweep, in the authors' layout, as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from cerberus_jax.heads import HEADS, PAPER_HEADS
from data_pipeline.io.files import whole_file
from experiments.evaluation.markdown import markdown_table
from experiments.evaluation.paper_tables import NOTE, paper_means
from experiments.evaluation.result_table import COLUMNS, cell, interval_cell
from experiments.sweeps.results import METRICS, Outcome, Row, rows_of

TABLE_FILE, CSV_FILE = "sweep.md", "sweep.csv"
INTERVALS = (
    "95 %: bootstrap interval of the mean over the instruments; seeds are drawn, then songs, each "
    "with all its excerpts. In P/R/F1 columns that of F1."
)
STARRED = (
    "\\* masks by k-means on the embedding; which cluster is which instrument is taken from the "
    "reference (oracle assignment)"
)
COMPARED = {
    "si_sdr": "SI-SDR",
    "si_sdr_improvement": "improvement",
    "frame_f1": "frame F1",
    "onset_f1": "onset F1",
    "onset_offset_f1": "onset+offset F1",
}


def write_tables(outcomes: Sequence[Outcome], workdir: Path) -> None:
    """Write both into the directory of a sweep."""
    rows = rows_of(outcomes)
    apart = [own for own in outcomes if own.apart]
    for name, text in ((TABLE_FILE, markdown(rows, apart)), (CSV_FILE, csv_text(rows))):
        with whole_file(workdir / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def markdown(rows: Sequence[Row], apart: Sequence[Outcome] = ()) -> str:
    """The table, the differences between its last row and the others, and what was set apart."""
    headings, cells = table(rows)
    lines = [markdown_table(headings, cells), "", INTERVALS]
    lines += ["", NOTE] if any(map(_theirs, rows)) else []
    lines += ["", STARRED] if any(row.is_oracle for row in rows) else []
    headings, cells = differences(rows)
    if cells:
        lines += ["", "Paired differences, with their 95 % intervals:", ""]
        lines.append(markdown_table(headings, cells))
    for own in apart:
        lines += ["", f"{own.name} is set apart: {own.apart}"]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: of each row the means, the intervals, and the authors' means.

    Blank = head absent; a dash = not scored; a star = clusters of the embedding, which the
    reference assigns to the instruments.
    """
    heads = [
        name for name in HEADS if name in PAPER_HEADS or any(r.config.loss[name] for r in rows)
    ]
    headings = ["network", "seeds", *(f"w{HEADS[name].short_name.upper()}" for name in heads)]
    headings += [title for title, _, _ in COLUMNS]
    cells, blank = [], [""] * (1 + len(heads))
    for row in rows:
        weights = [row.config.loss[name] for name in heads]
        means = [cell(row.mean, metrics, digits) for _, metrics, digits in COLUMNS]
        if row.gives_stems and row.mean["si_sdr"] is None:
            separates = [metrics[0].startswith("si_") for _, metrics, _ in COLUMNS]
            means = ["–" if own else text for own, text in zip(separates, means, strict=True)]
        cells.append([_title(row), str(len(row.seeds)), *(f"{w:g}" if w else "" for w in weights)])
        cells[-1] += means
        ends = [interval_cell(row.interval, metrics, digits) for _, metrics, digits in COLUMNS]
        cells.append(["95 %", *blank, *ends])
        if theirs := _theirs(row):
            own = [cell(theirs, metrics, digits) for _, metrics, digits in COLUMNS]
            cells.append(["*theirs*", *blank, *own])
    return headings, cells


def differences(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: the last row minus each of the others."""
    digits = {metric: places for _, metrics, places in COLUMNS for metric in metrics}
    cells = []
    for row in rows[:-1]:
        found = rows[-1].minus(row)
        if found and found[0]:
            texts = [signed(*(part.get(m) for part in found), digits[m]) for m in COMPARED]
            cells.append([f"{_title(rows[-1])} minus {_title(row)}", *texts])
    return ["difference", *COMPARED.values()], cells


def csv_text(rows: Sequence[Row]) -> str:
    """A line for each point, and one for the mean over its seeds with the ends of the intervals."""
    file = io.StringIO()
    ends = [f"{metric}_{end}" for metric in METRICS for end in ("low", "high")]
    fields = ["network", "point", "seed", "instruments", *HEADS, *METRICS, *ends]
    writer = csv.DictWriter(file, fields, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        own = {"network": row.name, "instruments": " ".join(row.config.instruments)}
        own |= {name: row.config.loss[name] for name in HEADS}
        for point in row.outcomes:
            scores = {metric: point.results["mean"].get(metric) for metric in METRICS}
            scores = {name: v for name, v in scores.items() if row.mean[name] is not None}
            writer.writerow(own | {"point": point.name, "seed": point.config.seed} | scores)
        writer.writerow(own | {"seed": "mean"} | row.mean | _ends(row))
    return file.getvalue()


def _ends(row):
    return {
        f"{metric}_{end}": value
        for metric, interval in row.interval.items()
        for end, value in zip(("low", "high"), interval or (None, None), strict=True)
    }


def _title(row):
    return row.name.replace("_", " ") + "\\*" * row.is_oracle


def _theirs(row):
    return paper_means(row.config.instruments, row.heads)


def signed(value: float | None, interval: Sequence[float] | None, digits: int) -> str:
    """A difference with the ends of its interval."""
    if value is None:
        return ""
    ends = f" [{interval[0]:+.{digits}f}, {interval[1]:+.{digits}f}]" if interval else ""
    return f"{value:+.{digits}f}{ends}"
