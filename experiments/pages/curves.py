"""The curves of runs for their page: one plot per logged value, drawn by curves.js."""

from collections.abc import Mapping

from cerberus_jax.heads import HEADS
from experiments import pages

_VALIDATION = "validation_"
_MAX_POINTS = 1500  # of a curve; more would not be seen
_DIGITS = 5

Points = list[tuple[int, float]]


def plots_html(metrics: Mapping[str, list[dict]]) -> str:
    """The plots of the logged entries of each run, those of one value overlaid."""
    by_run = {run: curves(entries) for run, entries in metrics.items()}
    titles = sorted({title: None for plots in by_run.values() for title in plots}, key=_rank)
    if not titles:
        return "<p>No step logged.</p>"
    plots = [
        {
            "title": title.replace("_", " "),
            "lines": [
                {"run": number, "kind": kind, "points": _thinned(points)}
                for number, plots in enumerate(by_run.values())
                for kind, points in plots.get(title, {}).items()
            ],
        }
        for title in titles
    ]
    data = pages.json_for_html({"runs": list(metrics), "plots": plots})
    return (
        '<p class="tools"><button id="log" aria-pressed="false">Log scale</button></p>'
        f'<script type="application/json" id="curves">{data}</script><div class="plots"></div>'
    )


def curves(metrics: list[dict]) -> dict[str, dict[str, Points]]:
    """Plot title -> curve name -> (step, value); validation shares the plot of its loss."""
    plots = {}
    for entry in metrics:
        for key, value in entry.items():
            title = key.removeprefix(_VALIDATION)
            if key == "step" or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            curve = "validation" if key.startswith(_VALIDATION) else "training"
            plots.setdefault(title, {}).setdefault(curve, []).append((entry["step"], value))
    return {title: plots[title] for title in sorted(plots, key=_rank)}


def _rank(title: str) -> int:
    """The losses come first."""
    first = ("loss", *HEADS)
    return first.index(title) if title in first else len(first)


def _thinned(points: Points) -> list[list[float]]:
    """At most so many of them, the last among them."""
    every = -(-len(points) // _MAX_POINTS)
    kept = points[(len(points) - 1) % every :: every]
    return [[step, float(f"{value:.{_DIGITS}g}")] for step, value in kept]
