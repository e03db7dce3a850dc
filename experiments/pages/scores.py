"""The scores of a run for its page, as a table."""

from collections.abc import Mapping, Sequence

from experiments import pages
from experiments.evaluation.result_table import ORACLE_ASSIGNMENT, UNTUNED, is_untuned

# Title, metric of results.json, digits.
COLUMNS = (
    ("SI-SDR dB", "si_sdr", 1),
    ("improvement dB", "si_sdr_improvement", 1),
    ("SI-SIR dB", "si_sir", 1),
    ("SI-SAR dB", "si_sar", 1),
    ("frame F1", "frame_f1", 2),
    ("onset F1", "onset_f1", 2),
    ("onset+offset F1", "onset_offset_f1", 2),
)


def scores_html(results: dict | None) -> str:
    """The table of a run's results: its instruments, their mean, baselines, other splits."""
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
        rows.append((name.replace("_", " "), mean_of(scores), ' class="weak"'))
    for name, scores in (results.get("splits") or {}).items():
        rows.append((f"split {name}", mean_of(scores), ' class="weak"'))
    shown = [
        column
        for column in COLUMNS
        if any(isinstance(scores.get(column[1]), int | float) for _, scores, _ in rows)
    ]
    head = "".join(f"<th>{pages.escape(title)}</th>" for title, _, _ in shown)
    lines = [f"<tr><th></th>{head}</tr>"]
    for name, scores, style in rows:
        ends = by_row.get(name) or {}
        cells = "".join(
            f"<td>{number(scores.get(key), digits)}{interval(ends.get(key), digits)}</td>"
            for _, key, digits in shown
        )
        lines.append(f"<tr{style}><td>{pages.escape(name)}</td>{cells}</tr>")
    return (
        f'<p class="note">{pages.escape(note)}</p>'
        f'<div class="wide"><table>{"".join(lines)}</table></div>'
    )


def interval(ends: Sequence[float] | None, digits: int) -> str:
    """The ends of an interval, small, under its mean."""
    return f"<small>{ends[0]:.{digits}f} to {ends[1]:.{digits}f}</small>" if ends else ""


def mean_of(scores: Mapping) -> Mapping:
    """A baseline's means, whether it stores them alone or beside those per instrument."""
    return scores["mean"] if isinstance(scores.get("mean"), Mapping) else scores


def number(value: object, digits: int) -> str:
    """A score, nothing where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else ""
