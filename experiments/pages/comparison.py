"""The scores of several runs for their page: under each instrument a line for each run."""

from collections.abc import Mapping

from experiments import pages
from experiments.evaluation.result_table import UNTUNED, is_untuned
from experiments.pages.scores import COLUMNS, interval, mean_of, number

OTHER_EXCERPTS = (
    "These runs were scored on different excerpts: a difference means something only where it is "
    "larger than the 95 % intervals below the means."
)


def comparison_html(results: Mapping[str, dict | None]) -> str:
    """The table, with intervals; runs that were not evaluated are named above it."""
    evaluated = {run: scores for run, scores in results.items() if scores is not None}
    notes = [f"{run}: {_about(scores)}" for run, scores in results.items()]
    if len({_items_of(scores) for scores in evaluated.values()}) > 1:
        notes.append(OTHER_EXCERPTS)
    texts = "".join(f'<p class="note">{pages.escape(note)}</p>' for note in notes)
    if not evaluated:
        return texts
    groups = _groups(evaluated)
    scores = [row for rows in groups.values() for row, _ in rows.values()]
    shown = [
        column
        for column in COLUMNS
        if any(isinstance(row.get(column[1]), int | float) for row in scores)
    ]
    head = "".join(f"<th>{pages.escape(title)}</th>" for title, _, _ in shown)
    lines = [f"<tr><th></th>{head}</tr>"]
    for group, rows in groups.items():
        title = f'<td colspan="{len(shown) + 1}">{pages.escape(group)}</td>'
        lines.append(f'<tr class="group">{title}</tr>')
        for run, (row, ends) in rows.items():
            cells = "".join(
                f"<td>{number(row.get(key), digits)}{interval(ends.get(key), digits)}</td>"
                for _, key, digits in shown
            )
            lines.append(f"<tr><td>{run_name(run, list(results).index(run))}</td>{cells}</tr>")
    return f'{texts}<div class="wide"><table>{"".join(lines)}</table></div>'


def run_name(run: str, position: int) -> str:
    """The name of a run with its colour in the plots."""
    return f'<span class="run" style="--run: var(--run-{position % 8})">{pages.escape(run)}</span>'


def _about(scores: Mapping | None) -> str:
    if scores is None:
        return "not evaluated yet (python -m experiments.evaluate)"
    text = f"{scores['num_items']} items of split {scores['split']}, "
    text += f"checkpoint of step {scores['step']}"
    return f"{text}. {UNTUNED}" if is_untuned(scores) else text


def _groups(evaluated: Mapping[str, Mapping]) -> dict[str, dict[str, tuple[Mapping, Mapping]]]:
    """Title -> run -> scores and intervals: the mean, instruments of any run, other splits."""
    groups = {"mean": {}}
    for run, scores in evaluated.items():
        ends = scores.get("interval_95") or {}
        groups["mean"][run] = scores["mean"], ends.get("mean") or {}
        for name in scores["instruments"]:
            own = (ends.get("per_instrument") or {}).get(name) or {}
            groups.setdefault(name, {})[run] = scores["per_instrument"][name], own
    for run, scores in evaluated.items():
        for split, of_split in (scores.get("splits") or {}).items():
            own = (of_split.get("interval_95") or {}).get("mean") or {}
            groups.setdefault(f"split {split}, mean", {})[run] = mean_of(of_split), own
    return groups


def _items_of(scores: Mapping) -> tuple:
    return (scores["split"], *(item["id"] for item in scores.get("items", ())))
