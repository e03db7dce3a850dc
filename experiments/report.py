"""One HTML page about one run or several: scores, excerpts to hear, curves, configs, versions.

The page is a single file, sounds included, without links to elsewhere: it opens from disk, can be
mailed, and follows the reader's light or dark setting.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ml_collections import ConfigDict

from data_pipeline.io.files import whole_file
from experiments import pages
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import flatten, load_run_config
from experiments.evaluation.report_excerpts import listen
from experiments.evaluation.report_players import excerpts_html
from experiments.evaluation.result_table import RESULTS_FILE, read_results
from experiments.evaluation.run_facts import named_runs, run_facts
from experiments.pages import listening
from experiments.pages.comparison import comparison_html, run_name
from experiments.pages.curves import plots_html
from experiments.pages.scores import scores_html
from experiments.runtime.compile_cache import keep_compiled
from experiments.training.metric_log import read_metrics

REPORT_FILE = Path("report") / "index.html"
COMPARISON_FILE = Path("report") / "comparison.html"

_PACKAGES = ("jax", "flax", "optax", "numpy", "tensorflow-cpu", "mir_eval")


@dataclass(frozen=True)
class Run:
    """What a report tells of one run."""

    workdir: Path
    config: ConfigDict
    metrics: list[dict]
    results: dict | None

    @classmethod
    def read(cls, workdir: Path) -> "Run":
        """The run in a directory; errors name the file that is missing or broken."""
        config, results = load_run_config(workdir), workdir / RESULTS_FILE
        scores = read_results(results) if results.exists() else None
        return cls(workdir, config, read_metrics(workdir), scores)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_report, _flags(), argv=argv)


def write_report(
    workdirs: str | Path | Sequence[str | Path], *, excerpts: int = 0, out: str | Path | None = None
) -> Path:
    """Write the page of one run or of several side by side; returns its path.

    Args:
        workdirs: the directory of a run, or of several.
        excerpts: how many of the best and of the worst excerpts of the (first) run's evaluation to
            listen to.
        out: the page; None for REPORT_FILE, of several runs COMPARISON_FILE, in the first's.

    Raises:
        FileNotFoundError: if a directory holds no run.
        ValueError: if a file of a run is broken, which is named, or a run is named twice.
    """
    workdirs = [workdirs] if isinstance(workdirs, str | Path) else list(workdirs)
    runs = {name: Run.read(folder) for name, folder in named_runs(workdirs).items()}
    page = Path(out or Path(workdirs[0]) / (REPORT_FILE if len(runs) == 1 else COMPARISON_FILE))
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page_html(runs, _excerpts(runs, excerpts) if excerpts else "")
    with whole_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def page_html(runs: Mapping[str, Run], excerpts: str = "") -> str:
    """The whole page."""
    if len(runs) == 1:
        ((name, run),) = runs.items()
        title = f"{name}: {', '.join(run.config.instruments)}"
        scores = scores_html(run.results)
    else:
        title = " and ".join([", ".join(list(runs)[:-1]), list(runs)[-1]])
        scores = comparison_html({name: run.results for name, run in runs.items()})
    steps = [run.metrics[-1]["step"] if run.metrics else 0 for run in runs.values()]
    notes = [
        f"{step} of {run.config.train.num_steps} steps logged"
        for step, run in zip(steps, runs.values(), strict=True)
    ]
    return pages.fill(
        "run.html",
        {
            "title": pages.escape(title),
            "note": pages.escape(notes[0] if len(set(notes)) == 1 else f"{len(runs)} runs"),
            "style": listening.style("run.css"),
            "facts": _table(
                {
                    name: run_facts(run.workdir, run.config, run.metrics)
                    for name, run in runs.items()
                },
                "facts",
            ),
            "scores": scores,
            "excerpts": pages.asset("listening.html") + excerpts if excerpts else "",
            "plots": plots_html({name: run.metrics for name, run in runs.items()}),
            "config": _config_html(runs),
            "script": listening.script("curves.js"),
        },
    )


def _excerpts(runs: Mapping[str, Run], count: int) -> str:
    """Those of the first run, as all runs hear them."""
    results = {name: run.results for name, run in runs.items() if run.results}
    first, run = next(iter(runs.items()))
    if not results.get(first, {}).get("items"):
        return ""
    heard, left_out = listen(
        {name: own.workdir for name, own in runs.items()}, results, count=count
    )
    said = "".join(f'<p class="note">{pages.escape(line)}</p>' for line in left_out)
    return excerpts_html(heard, run.config.instruments, run.config.audio.sample_rate_hz) + said


def _config_html(runs: Mapping[str, Run]) -> str:
    """Where the configs differ, then each config, then the versions."""
    configs = {
        name: {field: _plain(value) for field, value in flatten(run.config).items()}
        for name, run in runs.items()
    }
    html = []
    if len(runs) > 1:
        fields = dict.fromkeys(field for config in configs.values() for field in config)
        different = [
            field for field in fields if len({own.get(field) for own in configs.values()}) > 1
        ]
        differing = {
            name: {field: config.get(field, "") for field in different}
            for name, config in configs.items()
        }
        html.append(_table(differing, "") if different else "<p>The configs are the same.</p>")
    html.append(f"<details><summary>Config</summary>{_table(configs, '')}</details>")
    versions = {name: _versions_of(run.results) for name, run in runs.items()}
    html.append(f"<details><summary>Versions</summary>{_table(versions, '')}</details>")
    return "".join(html)


def _table(columns: Mapping[str, Mapping[str, str]], style: str) -> str:
    """A column for each run, a row for each title; one run needs no heading."""
    titles = dict.fromkeys(title for values in columns.values() for title in values)
    rows = [
        f"<th>{pages.escape(title)}</th>"
        + "".join(f"<td>{pages.escape(values.get(title, ''))}</td>" for values in columns.values())
        for title in titles
    ]
    if len(columns) > 1:
        names = [f"<th>{run_name(name, k)}</th>" for k, name in enumerate(columns)]
        rows.insert(0, f"<th></th>{''.join(names)}")
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table class="{style}">{body}</table></div>'


def _plain(value: object) -> str:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return ", ".join(map(str, value)) if is_list else str(value)


def _versions_of(results: dict | None) -> dict[str, str]:
    results = results or {}
    versions = dict(results.get("versions") or _versions())
    return ({"commit": results["commit"]} if results.get("commit") else {}) | versions


def _versions() -> dict[str, str]:
    installed = {dist.name.lower().replace("_", "-") for dist in metadata.distributions()}
    names = [name for name in _PACKAGES if name.lower().replace("_", "-") in installed]
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in names}


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.report --workdir=DIR [--workdir=DIR ...]",
        f"Write DIR/{REPORT_FILE}: the curves of a run, and its scores once it was evaluated.\n"
        f"Several runs are laid side by side, in {COMPARISON_FILE} of the first.",
    )
    flags.paths("workdir", "A run's directory; repeated, the runs are compared.")
    flags.path("out", "", "The page, where it is to be another file.")
    flags.integer(
        "excerpts",
        2,
        "How many of the best and of the worst excerpts of the first run to listen to; needs the\n"
        "data. With five instruments, 10 s of one add 3 MB to the page, and 1.2 MB more for each\n"
        "further run.",
        lowest=0,
    )
    return flags


def _report(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/set4")
    keep_compiled()
    page = write_report(flags.workdir, out=flags.out)
    if flags.excerpts:
        try:
            write_report(flags.workdir, excerpts=flags.excerpts, out=flags.out)
        except (ValueError, OSError) as error:
            print(f"The page has no excerpts to listen to: {error}", file=sys.stderr)
    print(f"Written: {page}")


if __name__ == "__main__":
    sys.exit(main())
