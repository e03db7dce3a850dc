"""One HTML page about a run: scores, curves, config, versions.

The page is a single file, sounds included, without scripts or links to elsewhere: it opens from
disk, can be mailed, and follows the reader's light or dark setting because the plots take the
text's colour.
"""

import html
import io
import json
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from cerberus_jax.heads import HEADS
from data_pipeline.io.files import whole_file
from experiments import pages
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import flatten, load_run_config
from experiments.evaluation.report_excerpts import excerpts_html, listen
from experiments.evaluation.result_table import ORACLE_ASSIGNMENT, RESULTS_FILE, UNTUNED, is_untuned
from experiments.runtime.compile_cache import keep_compiled
from experiments.training.metric_log import read_metrics

REPORT_FILE = Path("report") / "index.html"
VALIDATION = "validation_"

# Columns of the score tables: title, metric of results.json, digits.
COLUMNS = (
    ("SI-SDR dB", "si_sdr", 1),
    ("improvement dB", "si_sdr_improvement", 1),
    ("SI-SIR dB", "si_sir", 1),
    ("SI-SAR dB", "si_sar", 1),
    ("frame F1", "frame_f1", 2),
    ("onset F1", "onset_f1", 2),
    ("onset+offset F1", "onset_offset_f1", 2),
)

_PACKAGES = ("jax", "flax", "optax", "numpy", "tensorflow-cpu", "mir_eval")
_PLACEHOLDER = "#010203"  # drawn by matplotlib, replaced by the text's colour
_COLOURS = ("#3b82c4", "#d9772b", "#2e9d6a", "#b65cb0", "#8a8f2a")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_report, _flags(), argv=argv)


def write_report(workdir: str | Path, *, excerpts: int = 0) -> Path:
    """Write the page of the run in `workdir`; returns its path.

    Args:
        workdir: the run's directory.
        excerpts: how many of the best and of the worst excerpts of the evaluation to listen to.

    Raises:
        FileNotFoundError: if the directory holds no run.
        ValueError: if a file of the run is broken; the message names it.
    """
    workdir = Path(workdir)
    config = load_run_config(workdir)
    page = workdir / REPORT_FILE
    page.parent.mkdir(parents=True, exist_ok=True)
    results = _results(workdir / RESULTS_FILE)
    listening = []
    if excerpts and results and results.get("items"):
        listening = listen(workdir, results, count=excerpts)
    text = page_html(
        workdir.resolve().name,
        config=flatten(config),
        metrics=read_metrics(workdir),
        results=results,
        excerpts=excerpts_html(listening),
    )
    with whole_file(page) as part:
        part.write_text(text, encoding="utf-8")
    return page


def page_html(
    name: str,
    *,
    config: Mapping[str, object],
    metrics: list[dict],
    results: dict | None,
    excerpts: str = "",
) -> str:
    """The whole page."""
    steps = metrics[-1]["step"] if metrics else 0
    versions = (results or {}).get("versions") or _versions()
    if commit := (results or {}).get("commit"):
        versions = {"commit": commit} | dict(versions)
    return pages.fill(
        "run.html",
        {
            "title": pages.escape(f"{name}: {', '.join(config['instruments'])}"),
            "note": f"{steps} of {config['train.num_steps']} steps logged",
            "style": pages.asset("base.css") + pages.asset("run.css"),
            "scores": _scores(results),
            "excerpts": excerpts,
            "plots": _plots(metrics),
            "config": _pairs(config),
            "versions": _pairs(versions),
        },
    )


def curves(metrics: list[dict]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Plot title -> curve name -> (step, value); validation shares the plot of its loss."""
    plots = {}
    for entry in metrics:
        for key, value in entry.items():
            title = key.removeprefix(VALIDATION)
            if key == "step" or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            curve = "validation" if key.startswith(VALIDATION) else "training"
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


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.report --workdir=DIR",
        f"Write DIR/{REPORT_FILE}: the curves of a run, and its scores once it was evaluated.",
    )
    flags.string("workdir", "", "The run's directory.")
    flags.string(
        "excerpts",
        "2",
        "How many of the best and of the worst excerpts to listen to; needs the data. With five\n"
        "instruments, 10 s of one add 2.5 MB to the page.",
    )
    return flags


def _report(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/set4")
    if not flags.excerpts.isdigit():
        raise ValueError(f"excerpts: a number from 0 expected, got {flags.excerpts!r}")
    keep_compiled()
    page = write_report(flags.workdir)
    if int(flags.excerpts):
        try:
            write_report(flags.workdir, excerpts=int(flags.excerpts))
        except (ValueError, OSError) as error:
            print(f"The page has no excerpts to listen to: {error}", file=sys.stderr)
    print(f"Written: {page}")


def _results(file: Path) -> dict | None:
    if not file.exists():
        return None
    try:
        results = json.loads(file.read_text())
        missing = {"instruments", "split", "step", "num_items", "per_instrument", "mean"} - set(
            results
        )
        if missing:
            raise KeyError(*sorted(missing))
        return results
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file}: expected the scores that experiments.evaluate writes, got something else "
            f"({type(error).__name__}: {error}); evaluate the run again"
        ) from None


def _scores(results: dict | None) -> str:
    if results is None:
        return "<p>Not evaluated yet: python -m experiments.evaluate</p>"
    note = (
        f"{results['num_items']} items of split {results['split']}, checkpoint of step "
        f"{results['step']}; means of the scores per item"
    )
    intervals = results.get("interval_95") or {}
    by_row = {"mean": intervals.get("mean") or {}} | (intervals.get("per_instrument") or {})
    note += ", below them the 95 % bootstrap interval" * bool(intervals)
    if results.get("assignment") == "oracle":
        note += f". Scores of separation: {ORACLE_ASSIGNMENT}"
    if is_untuned(results):
        note += f". {UNTUNED}"
    rows = [(name, results["per_instrument"][name], "") for name in results["instruments"]]
    rows.append(("mean", results["mean"], ' class="strong"'))
    for name, scores in (results.get("baselines") or {}).items():
        rows.append((name.replace("_", " "), _mean_of(scores), ' class="weak"'))
    for name, scores in (results.get("splits") or {}).items():
        rows.append((f"split {name}", _mean_of(scores), ' class="weak"'))
    shown = [
        column
        for column in COLUMNS
        if any(isinstance(scores.get(column[1]), int | float) for _, scores, _ in rows)
    ]
    head = "".join(f"<th>{html.escape(title)}</th>" for title, _, _ in shown)
    lines = [f"<tr><th></th>{head}</tr>"]
    for name, scores, style in rows:
        cells = "".join(
            f"<td>{_number(scores.get(key), digits)}{_interval(by_row, name, key, digits)}</td>"
            for _, key, digits in shown
        )
        lines.append(f"<tr{style}><td>{html.escape(name)}</td>{cells}</tr>")
    return (
        f'<p class="note">{html.escape(note)}</p>'
        f'<div class="wide"><table>{"".join(lines)}</table></div>'
    )


def _interval(by_row: Mapping, name: str, key: str, digits: int) -> str:
    ends = (by_row.get(name) or {}).get(key)
    return f"<small>{ends[0]:.{digits}f} to {ends[1]:.{digits}f}</small>" if ends else ""


def _mean_of(scores: Mapping) -> Mapping:
    """A baseline's means, whether it stores them alone or beside those per instrument."""
    return scores["mean"] if isinstance(scores.get("mean"), Mapping) else scores


def _number(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else ""


def _plots(metrics: list[dict]) -> str:
    figures = [
        f"<figure>{plot_svg(title, lines)}</figure>" for title, lines in curves(metrics).items()
    ]
    return f'<div class="plots">{"".join(figures)}</div>' if figures else "<p>No step logged.</p>"


def _pairs(values: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(_plain(value))}</td></tr>"
        for name, value in values.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _plain(value: object) -> str:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return ", ".join(map(str, value)) if is_list else str(value)


def _versions() -> dict[str, str]:
    installed = {dist.name.lower().replace("_", "-") for dist in metadata.distributions()}
    names = [name for name in _PACKAGES if name.lower().replace("_", "-") in installed]
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in names}


if __name__ == "__main__":
    sys.exit(main())
