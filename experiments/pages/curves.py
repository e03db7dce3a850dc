"""The curves of a run for its page: one plot per logged value, as SVG inside the page."""

import io
import re
from collections.abc import Mapping

from cerberus_jax.heads import HEADS

_VALIDATION = "validation_"
_PLACEHOLDER = "#010203"  # drawn by matplotlib, replaced by the text's colour
_COLOURS = ("#3b82c4", "#d9772b", "#2e9d6a", "#b65cb0", "#8a8f2a")


def plots_html(metrics: list[dict]) -> str:
    """All plots of the logged entries."""
    figures = [
        f"<figure>{plot_svg(title, lines)}</figure>" for title, lines in curves(metrics).items()
    ]
    return f'<div class="plots">{"".join(figures)}</div>' if figures else "<p>No step logged.</p>"


def curves(metrics: list[dict]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Plot title -> curve name -> (step, value); validation shares the plot of its loss."""
    plots = {}
    for entry in metrics:
        for key, value in entry.items():
            title = key.removeprefix(_VALIDATION)
            if key == "step" or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            curve = "validation" if key.startswith(_VALIDATION) else "training"
            plots.setdefault(title, {}).setdefault(curve, []).append((entry["step"], value))
    first = ("loss", *HEADS)
    order = sorted(plots, key=lambda title: first.index(title) if title in first else len(first))
    return {title: plots[title] for title in order}


def plot_svg(title: str, lines: Mapping[str, list[tuple[int, float]]]) -> str:
    """One plot as SVG text that takes the colour of the text around it."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.family": "sans-serif",
        "text.color": _PLACEHOLDER,
        "axes.edgecolor": _PLACEHOLDER,
        "axes.labelcolor": _PLACEHOLDER,
        "xtick.color": _PLACEHOLDER,
        "ytick.color": _PLACEHOLDER,
    }
    with plt.rc_context(settings):
        figure, axes = plt.subplots(figsize=(5, 2.9), layout="constrained")
        for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
            marker = "o" if len(points) < 40 else None
            axes.plot(*zip(*points, strict=True), label=name, color=colour, marker=marker, ms=3)
        axes.set_title(title.replace("_", " "), loc="left", fontsize=11)
        axes.set_xlabel("step")
        axes.grid(alpha=0.25, color=_PLACEHOLDER)
        axes.spines[["top", "right"]].set_visible(False)
        values = [value for points in lines.values() for _, value in points]
        axes.set_ylim(min(0.0, *values) * 1.05, max(0.0, *values) * 1.08 or None)
        if len(lines) > 1:
            axes.legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
        plt.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_PLACEHOLDER, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*">', "<g>", svg)  # they would repeat from plot to plot
