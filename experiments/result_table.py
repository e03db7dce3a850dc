"""The scores of results.json as text: one block per system, rows and columns as in the paper."""

from collections.abc import Mapping, Sequence

# Title, metrics, digits: P/R/F1 stand together.
_COLUMNS = (
    ("SI-SDR", ("si_sdr",), 1),
    ("improved", ("si_sdr_improvement",), 1),
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
)

_TITLES = {
    "mixture": "mixture, unprocessed",
    "untrained": "untrained network",
    "oracle_mask": "oracle: phase-sensitive mask, decoded reference roll",
}


def results_table(results: Mapping) -> str:
    """The table that `experiments.evaluate` prints: this network, then what it is compared with."""
    instruments = results["instruments"]
    seconds = f"{results['num_items']} excerpts of {results['excerpt_seconds']:g} s"
    blocks = [(f"this network ({results['split']}, {seconds}, step {results['step']})", results)]
    blocks += [(_TITLES.get(name, name), found) for name, found in results["baselines"].items()]
    for split, found in results["splits"].items():
        blocks.append((f"this network ({split}, {found['num_items']} excerpts)", found))
        for name, baseline in found["baselines"].items():
            blocks.append((f"{_TITLES.get(name, name)} ({split})", baseline))
    rows = [["", *(title for title, _, _ in _COLUMNS)]]
    titles = {}
    for title, block in blocks:
        titles[len(rows)] = title
        rows += _block(block, instruments)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for k, row in enumerate(rows):
        if k in titles:
            lines += ["", titles[k]]
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _block(block: Mapping, instruments: Sequence[str]) -> list[list[str]]:
    scores = {name: block["per_instrument"][name] for name in instruments}
    scores["mean"] = block["mean"]
    return [
        [f"  {name}", *(_cell(found, metrics, digits) for _, metrics, digits in _COLUMNS)]
        for name, found in scores.items()
    ]


def _cell(scores: Mapping, metrics: Sequence[str], digits: int) -> str:
    values = [scores[metric] for metric in metrics]
    return "" if None in values else "/".join(f"{value:.{digits}f}" for value in values)
