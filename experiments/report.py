"""One HTML page about a run: scores, curves, config, versions.

The page is a single file, sounds included, without scripts or links to elsewhere: it opens from
disk, can be mailed, and follows the reader's light or dark setting because the plots take the
text's colour.
"""

import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from data_pipeline.io.files import whole_file
from experiments import pages
from experiments.config.command_line import CommandFlags, run_command
from experiments.config.loading import flatten, load_run_config
from experiments.evaluation.report_excerpts import excerpts_html, listen
from experiments.evaluation.result_table import RESULTS_FILE, read_results
from experiments.pages.curves import plots_html
from experiments.pages.scores import scores_html
from experiments.runtime.compile_cache import keep_compiled
from experiments.training.metric_log import read_metrics

REPORT_FILE = Path("report") / "index.html"

_PACKAGES = ("jax", "flax", "optax", "numpy", "tensorflow-cpu", "mir_eval")


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
    results = read_results(workdir / RESULTS_FILE) if (workdir / RESULTS_FILE).exists() else None
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
    with whole_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
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
            "scores": scores_html(results),
            "excerpts": excerpts,
            "plots": plots_html(metrics),
            "config": _pairs(config),
            "versions": _pairs(versions),
        },
    )


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.report --workdir=DIR",
        f"Write DIR/{REPORT_FILE}: the curves of a run, and its scores once it was evaluated.",
    )
    flags.path("workdir", "", "The run's directory.")
    flags.integer(
        "excerpts",
        2,
        "How many of the best and of the worst excerpts to listen to; needs the data. With five\n"
        "instruments, 10 s of one add 2.5 MB to the page.",
        lowest=0,
    )
    return flags


def _report(flags: CommandFlags) -> None:
    if not flags.workdir:
        raise ValueError("--workdir is missing, e.g. --workdir=runs/set4")
    keep_compiled()
    page = write_report(flags.workdir)
    if flags.excerpts:
        try:
            write_report(flags.workdir, excerpts=flags.excerpts)
        except (ValueError, OSError) as error:
            print(f"The page has no excerpts to listen to: {error}", file=sys.stderr)
    print(f"Written: {page}")


def _pairs(values: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><td>{pages.escape(name)}</td><td>{pages.escape(_plain(value))}</td></tr>"
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
