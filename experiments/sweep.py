"""Train and evaluate one network per point of a sweep, and set the scores side by side.

Each point is a run of its own in a folder of its own, so the same command skips what is finished
and continues what was stopped; the table is rewritten after each point.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.checkpoint import saved_steps
from cerberus_jax.heads import HEADS, PAPER_HEADS, transcribes
from cerberus_jax.json_files import read_json
from data_pipeline.io.files import whole_file
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import (
    call_function,
    find_file,
    heads_of,
    known_files,
    load_config,
)
from experiments.config.resume import check_resume
from experiments.evaluation.result_table import RESULTS_FILE, TEST_SPLIT
from experiments.runtime.compile_cache import keep_compiled
from experiments.runtime.huge_pages import restart_with_huge_pages

TABLE_FILE = "sweep.md"
SCORES_FILE = "sweep.json"
INTERRUPTED = "Stopped. The same command skips the finished points and continues the last one."

_DECIBELS = ("si_sdr", "si_sir", "si_sar")
_NOTES = ("frame", "onset", "onset_offset")

STARRED = (
    "\\* masks by k-means on the embedding; which cluster is which instrument is taken from the "
    "reference (oracle assignment)"
)

Point = tuple[str, ConfigDict]


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_sweep, _flags(), argv=argv, with_config=True, on_interrupt=INTERRUPTED)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.sweep --config=SET --sweep=SWEEP --workdir=DIR "
        "[--config.FIELD=VALUE ...]",
        "Train and evaluate one network per point of a sweep and print their scores as a table.\n\n"
        f"Each point becomes a run in DIR/POINT; DIR gets {TABLE_FILE} and {SCORES_FILE}. The\n"
        "same command skips finished points and continues a point that was stopped.",
    )
    flags.path("config", "", f"The set all points share: {', '.join(known_files('sets'))}")
    flags.path("sweep", "", f"The points: {', '.join(known_files('sweeps'))}")
    flags.path("workdir", "", "The directory that gets one folder per point.")
    return flags


def load_points(
    sweep: str | Path, config_path: str | Path, overrides: Overrides | None = None
) -> list[Point]:
    """Name and config of each point of the sweep file.

    Raises:
        FileNotFoundError: if there is no such sweep; the message lists the known ones.
        ValueError: if a point is not valid, or sets a field that `overrides` set too.
    """
    overrides = overrides or []
    file = find_file(sweep, folder="sweeps")
    points = []
    for name, fields in call_function(file, "get_sweep"):
        both = sorted({field for field, _ in overrides} & set(fields))
        if both:
            raise ValueError(
                f"{file}: its points set {', '.join(both)}, so the command line cannot"
            )
        points.append((name, load_config(config_path, [*overrides, *fields.items()])))
    names = [name for name, _ in points]
    if not points or len(set(names)) < len(names):
        raise ValueError(f"{file}: expected points with a name each, got {names}")
    return points


def run_points(
    points: list[Point],
    workdir: str | Path,
    *,
    train: Callable[[ConfigDict, Path], object],
    evaluate: Callable[[Path], dict],
) -> list[dict]:
    """Train and evaluate what is not finished yet; write the table after each point.

    Args:
        points: name and config of each.
        workdir: directory of the sweep.
        train: trains, or continues, a config in a directory.
        evaluate: scores the run in a directory and returns its results.

    Returns:
        one row per point: name, weights and mean scores.
    """
    workdir = Path(workdir)
    for name, config in points:
        check_resume(config, workdir / name)
    rows = []
    for number, (name, config) in enumerate(points, start=1):
        folder = workdir / name
        results = finished_results(config, folder)
        if results is None:
            print(f"Point {number} of {len(points)}: {name}", flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RESULTS_FILE).unlink(missing_ok=True)
            train(config, folder)
            results = evaluate(folder)
            _write(folder / RESULTS_FILE, json.dumps(results, indent=2) + "\n")
        rows.append(table_row(name, config, results))
        _write(workdir / SCORES_FILE, json.dumps(rows, indent=2) + "\n")
        _write(workdir / TABLE_FILE, table(rows))
    return rows


def finished_results(config: ConfigDict, folder: Path) -> dict | None:
    """The test results of a point that was trained for all its steps; None otherwise.

    Those of another split or checkpoint, or of a point that was looked at before its end, are not
    the sweep's.
    """
    file, steps = folder / RESULTS_FILE, saved_steps(folder)
    if not file.is_file() or steps.get("last", 0) < config.train.num_steps:
        return None
    try:
        results = read_json(file, "scores", {"mean": {}})
    except ValueError:
        return None
    best = steps.get("best", steps["last"])
    is_of_sweep = results.get("split") == TEST_SPLIT and results.get("step") == best
    return results if is_of_sweep else None


def table_row(name: str, config: ConfigDict, results: dict) -> dict:
    """Name, loss weights and mean scores of one point; None where the head is absent."""
    mean = results["mean"]
    heads = heads_of(config)
    has_stems = _gives_stems(heads)
    decibels = {metric: mean.get(metric) if has_stems else None for metric in _DECIBELS}
    notes = {
        f"{kind}_{score}": mean.get(f"{kind}_{score}") if transcribes(heads) else None
        for kind in _NOTES
        for score in ("precision", "recall", "f1")
    }
    weights = {loss: config.loss[loss] for loss in HEADS}
    return {"name": name, "assignment": results.get("assignment")} | weights | decibels | notes


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table in the paper's layout.

    Blank = head absent; a dash = not scored; a star = clusters of the embedding, which the
    reference assigns to the instruments.
    """
    heads = [loss for loss in HEADS if loss in PAPER_HEADS or any(row[loss] for row in rows)]
    header = ["model", *(f"w{HEADS[loss].short_name.upper()}" for loss in heads)]
    header += ["SI-SDR", "SI-SIR", "SI-SAR"]
    header += ["frame P/R/F1", "onset P/R/F1", "onset+offset P/R/F1"]
    texts = [header]
    for row in rows:
        is_oracle = row.get("assignment") == "oracle"
        text = [row["name"].replace("_", " ") + "*" * is_oracle]
        text += [f"{row[loss]:g}" if row[loss] else "" for loss in heads]
        absent = "–" if _gives_stems([loss for loss in heads if row[loss]]) else ""
        text += [absent if row[metric] is None else f"{row[metric]:.1f}" for metric in _DECIBELS]
        text += [_precision_recall_f1(row, kind) for kind in _NOTES]
        texts.append(text)
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    texts.insert(1, ["-" * width for width in widths])
    lines = [
        f"| {' | '.join(word.ljust(width) for word, width in zip(text, widths, strict=True))} |"
        for text in texts
    ]
    if any(row.get("assignment") == "oracle" for row in rows):
        lines += ["", STARRED]
    return "\n".join(lines) + "\n"


def _gives_stems(heads: Iterable[str]) -> bool:
    """Whether a network with these heads separates, be it by clusters."""
    return any(HEADS[name].gives in ("masks", "clusters") for name in heads)


def _precision_recall_f1(row: dict, kind: str) -> str:
    scores = [row[f"{kind}_{score}"] for score in ("precision", "recall", "f1")]
    return "" if None in scores else "/".join(f"{score:.2f}" for score in scores)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sweep(flags: CommandFlags, overrides: Overrides) -> None:
    for name in ("config", "sweep", "workdir"):
        if not flags[name].value:
            example = "--config=sets/set1.py --sweep=sweeps/loss_weights.py --workdir=runs/weights"
            raise ValueError(f"--{name} is missing, e.g. {example}")
    points = load_points(flags.sweep, flags.config, overrides)
    Path(flags.workdir).mkdir(parents=True, exist_ok=True)
    keep_compiled()

    from experiments.evaluate import evaluate
    from experiments.run import train_run

    rows = run_points(
        points,
        flags.workdir,
        train=train_run,
        evaluate=lambda folder: evaluate(folder, step="best", split=TEST_SPLIT),
    )
    print(table(rows), end="")
    print(f"Written: {Path(flags.workdir) / TABLE_FILE}, {Path(flags.workdir) / SCORES_FILE}")


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
