"""Set finished runs side by side: means with intervals, and paired differences to the first.

    python -m experiments.compare --workdir=runs/a --workdir=runs/b [--results=results_songs.json]

Runs that differ in nothing but their seed are one network. Its interval is one for which seeds are
drawn, then songs, each with all its excerpts.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import load_run_config
from experiments.evaluation.markdown import markdown_table
from experiments.evaluation.result_table import RESULTS_FILE, number, read_results
from experiments.evaluation.run_facts import duration, named_runs, training_seconds
from experiments.sweeps.results import Outcome, Row, rows_of
from experiments.sweeps.table import COMPARED, signed
from experiments.training.metric_log import read_metrics

METRICS = {metric: title for metric, title in COMPARED.items() if metric != "si_sdr"}
DIGITS = {metric: 1 if metric.startswith("si_") else 2 for metric in METRICS}
INTERVALS = (
    "95 %: bootstrap interval of the mean; seeds are drawn, then songs with all their excerpts."
)
_NOTHING = "–"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.compare --workdir=DIR --workdir=DIR [--results=FILE]",
        "Print the scores of evaluated runs side by side, with intervals, and what each differs\n"
        "from the first by. Runs that differ in their seed alone are one network.",
    )
    flags.paths("workdir", "A run's directory, evaluated; the first network is the baseline.")
    flags.string("results", RESULTS_FILE, "The file of scores that is read in each directory.")
    return run_command(_compare, flags, argv=argv)


def read_networks(workdirs: Sequence[Path], results: str = RESULTS_FILE) -> list[Row]:
    """The networks in the order of their first runs, seeds ascending.

    Args:
        workdirs: of evaluated runs.
        results: the file of scores in each of them.

    Raises:
        FileNotFoundError: if a directory holds no run, or no such scores.
        ValueError: if a file is broken, a run is there twice, or the seeds of a network were scored
            on different excerpts.
    """
    names_of = {str(folder): name for name, folder in named_runs(workdirs).items()}
    outcomes = [_read(Path(folder), results) for folder in names_of]
    networks = []
    for row in rows_of(outcomes):
        seeds = [own.config.seed for own in row.outcomes]
        if repeated := [seed for seed in seeds if seeds.count(seed) > 1]:
            names = [own.name for own in row.outcomes if own.config.seed == repeated[0]]
            raise ValueError(
                f"--workdir: {' and '.join(names)} have one config and one seed; name one of them"
            )
        if odd := [own for own in row.outcomes if _scored(own) != _scored(row.outcomes[0])]:
            raise ValueError(
                f"--workdir: {row.outcomes[0].name} and {odd[0].name} are seeds of one network, "
                "scored on the same excerpts expected, got others; evaluate both again"
            )
        by_seed = sorted(row.outcomes, key=lambda own: own.config.seed)
        names = [names_of[own.name] for own in row.outcomes]
        networks.append(replace(row, name=_common_name(names), outcomes=tuple(by_seed)))
    return networks


def comparison(networks: Sequence[Row]) -> str:
    """The tables as Markdown: each network with its instruments, then the differences."""
    headings = ["network", "", "seeds", "training", *METRICS.values()]
    lines = [markdown_table(headings, [cells for row in networks for cells in _rows(row)])]
    lines += ["", INTERVALS]
    differing = [(row, row.minus(networks[0])) for row in networks[1:]]
    cells = [_difference(row, networks[0], *found) for row, found in differing if found]
    if cells:
        lines += ["", "Paired differences, with their 95 % intervals:", ""]
        lines.append(markdown_table(["difference", *METRICS.values()], cells))
    for row, found in differing:
        if found is None:
            lines += [
                "",
                f"{row.name} and {networks[0].name} are no pairs: other excerpts, or other seeds.",
            ]
    return "\n".join(lines)


def of_instrument(row: Row, name: str) -> Row:
    """The scores of one instrument, as if there were no other."""
    outcomes = [
        own._replace(
            results=own.results
            | {"instruments": [name], "mean": own.results["per_instrument"][name]}
        )
        for own in row.outcomes
    ]
    return replace(row, outcomes=tuple(outcomes))


def _read(folder: Path, results: str) -> Outcome:
    config, path = load_run_config(folder), folder / results
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: python -m experiments.evaluate --workdir={folder} writes "
            f"{RESULTS_FILE}, and with --split or --songs files of other names"
        )
    return Outcome(str(folder), config, read_results(path))


def _scored(outcome: Outcome) -> list[str]:
    """What its scores are of."""
    return [item["id"] for item in outcome.results.get("items", ())]


def _rows(row: Row) -> list[list[str]]:
    """The mean, then each instrument."""
    rows = [[row.name, "mean", ", ".join(map(str, row.seeds)), _time(row), *_cells(row)]]
    instruments = row.outcomes[0].results["instruments"]
    return rows + [["", name, "", "", *_cells(of_instrument(row, name))] for name in instruments]


def _cells(row: Row) -> list[str]:
    return [_cell(row.mean[metric], row.interval[metric], DIGITS[metric]) for metric in METRICS]


def _cell(value: float | None, ends: Sequence[float] | None, digits: int) -> str:
    if value is None:
        return _NOTHING
    text = number(value, digits)
    return f"{text} [{', '.join(number(end, digits) for end in ends)}]" if ends else text


def _time(row: Row) -> str:
    """Of training, the mean over the seeds."""
    seconds = [training_seconds(read_metrics(own.name)) for own in row.outcomes]
    return duration(sum(seconds) / len(seconds)) if all(seconds) else _NOTHING


def _difference(row: Row, baseline: Row, means: Mapping, ends: Mapping) -> list[str]:
    cells = [signed(means.get(name), ends.get(name), DIGITS[name]) for name in METRICS]
    return [f"{row.name} minus {baseline.name}", *cells]


def _common_name(names: Sequence[str]) -> str:
    """What the names begin with alike, or else the first."""
    if len(names) == 1:
        return names[0]
    letters = itertools.takewhile(lambda own: len(set(own)) == 1, zip(*names, strict=False))
    return "".join(own[0] for own in letters).rstrip("_-. ") or names[0]


def _compare(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/demo --workdir=runs/mine")
    print(comparison(read_networks(flags.workdir, flags.results)))


if __name__ == "__main__":
    sys.exit(main())
