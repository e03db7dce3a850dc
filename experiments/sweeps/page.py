"""The page of a sweep: its table, the differences, and the curves of validation in one plot."""

from collections.abc import Sequence
from pathlib import Path

from experiments import pages
from experiments.evaluation.paper_tables import NOTE
from experiments.pages import listening
from experiments.pages.curves import overlaid_html
from experiments.sweeps.results import Outcome, Row, rows_of
from experiments.sweeps.table import INTERVALS, STARRED, differences, table
from experiments.training.metric_log import read_metrics

PAGE_FILE = "sweep.html"
_VALIDATION = "validation_"


def page_html(outcomes: Sequence[Outcome], workdir: Path) -> str:
    """The whole page, one file without links.

    Args:
        outcomes: what came out of the points so far.
        workdir: the directory of the sweep, with those of its points.
    """
    rows = rows_of(outcomes)
    notes = [
        INTERVALS,
        NOTE,
        STARRED,
        *(f"{o.name} is set apart: {o.apart}" for o in outcomes if o.apart),
    ]
    headings, cells = differences(rows)
    return pages.fill(
        "sweep.html",
        {
            "title": pages.escape(workdir.resolve().name),
            "note": f"{len(outcomes)} points, {len(rows)} networks",
            "style": listening.style("run.css"),
            "scores": _table_html(*table(rows))
            + "".join(f'<p class="note">{pages.escape(_plain(note))}</p>' for note in notes),
            "differences": _table_html(headings, cells) if cells else "<p>None to show.</p>",
            "plots": _plots_html(rows, workdir),
            "script": listening.script("curves.js"),
        },
    )


def curves_of(rows: Sequence[Row], workdir: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Loss -> network -> (step, value of its validation, mean over the seeds)."""
    plots = {}
    for row in rows:
        values = {}
        for own in row.outcomes:
            for entry in read_metrics(workdir / own.name):
                for key, value in entry.items():
                    if key.startswith(_VALIDATION):
                        values.setdefault(key, {}).setdefault(entry["step"], []).append(value)
        for key, by_step in values.items():
            points = [(step, sum(v) / len(v)) for step, v in sorted(by_step.items())]
            plots.setdefault(key.removeprefix(_VALIDATION), {})[row.name] = points
    return plots


def _plots_html(rows, workdir):
    plots = curves_of(rows, workdir)
    lines = {
        title: [(name, "validation", points) for name, points in of_rows.items()]
        for title, of_rows in plots.items()
    }
    return overlaid_html([row.name for row in rows], lines)


def _table_html(headings, cells):
    lines = ["<tr>" + "".join(f"<th>{pages.escape(text)}</th>" for text in headings) + "</tr>"]
    for row in cells:
        style = ' class="weak"' if row[0] in ("95 %", "*theirs*") else ""
        texts = "".join(f"<td>{pages.escape(_plain(text))}</td>" for text in row)
        lines.append(f"<tr{style}>{texts}</tr>")
    return f'<div class="wide"><table class="intervals">{"".join(lines)}</table></div>'


def _plain(text):
    """Without the marks of Markdown."""
    return text.replace("\\*", "\x00").replace("*", "").replace("\x00", "*")
