"""The curves of runs for their page: one plot per logged value, drawn by curves.js."""

from collections.abc import Mapping, Sequence

from cerberus_jax.heads import HEADS
from experiments import pages

_VALIDATION = "validation_"
_MAX_POINTS = 1500  # of a curve; more would not be seen
_DIGITS = 5
_TITLES = {"si_sdr_improvement": "SI-SDR improvement, dB", "onset_f1": "onset F1"}

Points = list[tuple[int, float]]


def plots_html(metrics: Mapping[str, list[dict]]) -> str:
    """The plots of the logged entries of each run, those of one value overlaid."""
    by_run = {run: curves(entries) for run, entries in metrics.items()}
    titles = sorted({title: None for plots in by_run.values() for title in plots}, key=_rank)
    plots = {
        title: [
            (run, kind, points)
            for run, plots in by_run.items()
            for kind, points in plots.get(title, {}).items()
        ]
        for title in titles
    }
    return overlaid_html(list(metrics), plots)


def overlaid_html(
    runs: Sequence[str], plots: Mapping[str, Sequence[tuple[str, str, Points]]]
) -> str:
    """Plots as a page with run.css and curves.js shows them.

    Args:
        runs: the names of all runs, whose places among them are their colours.
        plots: title -> lines, each the name of a run, 'training' or 'validation', and its points.
    """
    if not plots:
        return "<p>No step logged.</p>"
    data = [
        {
            "title": _TITLES.get(title, title.replace("_", " ")),
            "lines": [
                {"run": runs.index(run), "kind": kind, "points": _thinned(points)}
                for run, kind, points in lines
            ],
        }
        for title, lines in plots.items()
    ]
    text = pages.json_for_html({"runs": list(runs), "plots": data})
    return (
        '<p class="tools"><button id="log" aria-pressed="false">Log scale</button></p>'
        f'<script type="application/json" id="curves">{text}</script><div class="plots"></div>'
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
    """The losses come first, then the scores."""
    first = ("loss", *HEADS, *_TITLES)
    return first.index(title) if title in first else len(first)


def _thinned(points: Points) -> list[list[float]]:
    """At most so many of them, the last among them."""
    every = -(-len(points) // _MAX_POINTS)
    kept = points[(len(points) - 1) % every :: every]
    return [[step, float(f"{value:.{_DIGITS}g}")] for step, value in kept]
