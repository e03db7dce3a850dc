"""The scores of results.json: where they are written, and as tables in the authors' layout.

Columns are theirs (SDR, SIR, SAR of the scale-invariant family, then precision, recall and F1 of
frames, onsets, onsets with offsets), and after them what theirs lack: the improvement over the
mixture. 95 % intervals of the means stand under the network's own rows.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cerberus_jax.json_files import OrNull, read_json
from cerberus_jax.outside import quoted, refusing
from data_pipeline.io.files import whole_file

RESULTS_FILE = "results.json"
TEST_SPLIT = "test"

COLUMNS = (
    ("SI-SDR", ("si_sdr",), 1),
    ("SI-SIR", ("si_sir",), 1),
    ("SI-SAR", ("si_sar",), 1),
    *(
        (f"{title} P/R/F1", tuple(f"{kind}_{part}" for part in ("precision", "recall", "f1")), 2)
        for title, kind in (
            ("frame", "frame"),
            ("onset", "onset"),
            ("onset+offset", "onset_offset"),
        )
    ),
    ("improved", ("si_sdr_improvement",), 1),
)
"""Title, metrics, digits: P/R/F1 stand together."""

_TITLES = {
    "mixture": "mixture, unprocessed",
    "untrained": "untrained network",
    "oracle_mask": "oracle: phase-sensitive mask, decoded reference roll",
}
ORACLE_ASSIGNMENT = (
    "Sources by clusters of the embedding; which cluster is which instrument is taken from the "
    "reference (oracle assignment)."
)

UNTUNED = (
    "Default note thresholds: those of this checkpoint were not tuned on the validation split, "
    "which is done when training has reached its last step."
)

COUNTED_NOTES = (
    "Onsets count where they lie inside the excerpt: a note that began before it is neither hit "
    "nor missed, and no false note where it is heard from the start."
)

_SCORES = {str: OrNull(float)}
_ENDS = {str: OrNull([float, float])}
_FORM = {
    "instruments": [str],
    "split": str,
    "step": OrNull(int),
    "num_items": int,
    "per_instrument": {str: _SCORES},
    "mean": _SCORES,
    "interval_95?": OrNull({"per_instrument?": {str: _ENDS}, "mean?": _ENDS}),
    "baselines?": OrNull({str: {}}),
    "splits?": OrNull({str: {}}),
    "items?": [{"id": str, "metrics": {str: _SCORES}}],
    "decoding?": OrNull({"tuned": bool}),
    "versions?": {str: str},
    "commit?": str,
}
Row = tuple[str, list[str]]


def results_file(*, split: str = TEST_SPLIT, excerpts: str = "", songs: bool = False) -> str:
    """The name of the file of scores: what is not the run's test has one of its own.

    Args:
        split: the split that is scored.
        excerpts: a list of excerpts other than the config's.
        songs: whole songs instead of excerpts.
    """
    words = ["songs"] * songs + [split] * (split != TEST_SPLIT)
    words += [f"of_{Path(excerpts).stem}"] * bool(excerpts)
    return "_".join([Path(RESULTS_FILE).stem, *words]) + Path(RESULTS_FILE).suffix


def write_results(results: dict, path: Path) -> dict:
    """Write JSON, and the table beside it as Markdown; returns the results."""
    with whole_file(path) as part:
        part.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n")
    with whole_file(path.with_suffix(".md")) as part:
        part.write_text(results_markdown(results), encoding="utf-8")
    return results


def read_results(path: Path) -> dict:
    """The scores in a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it holds something else.
    """
    expected = "the scores that experiments.evaluate writes"
    results = read_json(path, expected, _FORM, remedy="evaluate the run again")
    with refusing(path, expected, remedy="evaluate the run again"):
        for name in results["instruments"]:
            if name not in results["per_instrument"]:
                raise ValueError(f"no scores of {quoted(name)}")
    return results


def is_untuned(results: Mapping) -> bool:
    """Whether notes were found with thresholds that nobody has tuned."""
    decoding = results.get("decoding")
    return bool(decoding) and not decoding["tuned"]


def results_table(results: Mapping) -> str:
    """The table that `experiments.evaluate` prints: what was scored, then what it is compared with.

    Args:
        results: what results.json holds.
    """
    blocks = _blocks(results)
    header = ("", [title for title, _, _ in COLUMNS])
    rows = [header, *(row for _, own in blocks for row in own)]
    name_width = max(len(name) for name, _ in rows)
    widths = [max(len(cells[k]) for _, cells in rows) for k in range(len(COLUMNS))]

    def line(row: Row) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row[1], widths, strict=True)]
        return "  ".join([row[0].ljust(name_width), *cells]).rstrip()

    lines = [line(header)]
    for title, own in blocks:
        lines += ["", title, *map(line, own)]
    return "\n".join(lines + _notes(results))


def results_markdown(results: Mapping) -> str:
    """The same as Markdown, one table per block."""
    lines = []
    for title, rows in _blocks(results):
        lines += [f"**{title}**", ""]
        lines.append(f"| instrument | {' | '.join(title for title, _, _ in COLUMNS)} |")
        lines.append("|---|" + "---|" * len(COLUMNS))
        lines += [f"| {name.strip()} | {' | '.join(cells)} |" for name, cells in rows]
        lines.append("")
    return "\n".join(lines + _notes(results)).strip() + "\n"


def _blocks(results: Mapping) -> list[tuple[str, list[Row]]]:
    """Title and rows of every system."""
    instruments, step = results["instruments"], results["step"]
    unit = results.get("unit", "excerpts")
    items = f"{results['num_items']} {unit}"
    if results["excerpt_seconds"]:
        items += f" of {results['excerpt_seconds']:g} s"
    what = "these estimates" if step is None else "this network"
    of_step = "" if step is None else f", step {step}"
    mark = "*" if results.get("assignment") == "oracle" else ""
    blocks = [(f"{what}{mark} ({results['split']}, {items}{of_step})", results)]
    blocks += [
        (_TITLES.get(name, name) + mark * (name == "untrained"), baseline)
        for name, baseline in results["baselines"].items()
    ]
    for split, scores in results["splits"].items():
        blocks.append((f"{what}{mark} ({split}, {scores['num_items']} {unit})", scores))
        for name, baseline in scores["baselines"].items():
            title = _TITLES.get(name, name) + mark * (name == "untrained")
            blocks.append((f"{title} ({split})", baseline))
    return [(title, _rows(block, instruments)) for title, block in blocks]


def _rows(block: Mapping, instruments: Sequence[str]) -> list[Row]:
    """A row per instrument and their mean; intervals only where the items are listed."""
    scores = [(name, block["per_instrument"][name]) for name in instruments]
    scores.append(("mean", block["mean"]))
    intervals = block.get("interval_95") if "items" in block else None
    rows = []
    for name, own in scores:
        rows.append((f"  {name}", [cell(own, *column[1:]) for column in COLUMNS]))
        if intervals:
            ends = intervals["per_instrument"].get(name, intervals["mean"])
            rows.append(("    95 %", [interval_cell(ends, *column[1:]) for column in COLUMNS]))
    return rows


def cell(scores: Mapping, metrics: Sequence[str], digits: int) -> str:
    """The values of a column."""
    values = [scores[metric] for metric in metrics]
    return "" if None in values else "/".join(number(value, digits) for value in values)


def interval_cell(scores: Mapping, metrics: Sequence[str], digits: int) -> str:
    """Of the last metric: the F1 of a group."""
    ends = scores[metrics[-1]]
    return "" if ends is None else f"[{', '.join(number(end, digits) for end in ends)}]"


def number(value: float, digits: int) -> str:
    """Without the zero before the point where all values lie between 0 and 1, as the authors do."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if digits == 2 else text


def _notes(results: Mapping) -> list[str]:
    lines = [
        "",
        "95 %: bootstrap interval of the mean; songs are drawn, each with all its items. In P/R/F1 "
        "columns that of F1.",
    ]
    if results.get("unit", "excerpts") == "excerpts":
        lines += ["", COUNTED_NOTES]
    if results.get("assignment") == "oracle":
        lines += ["", f"* {ORACLE_ASSIGNMENT}"]
    if is_untuned(results):
        lines += ["", UNTUNED]
    for gap in results.get("gaps", ()):
        lines += ["", gap]
    return lines
