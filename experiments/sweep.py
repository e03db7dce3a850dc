"""Train and evaluate one network per point of a sweep, and set the scores side by side.

Points that differ in numbers alone train together, on the same batches. Each has a folder of its
own, which holds what a single run would have left there; so the same command skips what is
finished and continues what was stopped. The table is rewritten after each point.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.checkpoint import saved_steps
from cerberus_jax.json_files import read_json
from data_pipeline.io.files import whole_file
from experiments.config.command_line import CommandFlags, Overrides, run_command
from experiments.config.loading import known_files
from experiments.config.resume import check_resume
from experiments.evaluation.result_table import RESULTS_FILE, TEST_SPLIT
from experiments.runtime.compile_cache import keep_compiled
from experiments.runtime.huge_pages import restart_with_huge_pages
from experiments.runtime.out_of_memory import memory_advice
from experiments.runtime.run_lock import run_lock
from experiments.sweeps import together
from experiments.sweeps.diverged import why_apart
from experiments.sweeps.page import PAGE_FILE, page_html
from experiments.sweeps.points import SWEEPS, Point, load_points
from experiments.sweeps.results import Outcome
from experiments.sweeps.table import TABLE_FILE, write_tables
from experiments.training import embedded

INTERRUPTED = "Stopped. The same command skips the finished points and continues the others."


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(_sweep, _flags(), argv=argv, with_config=True, on_interrupt=INTERRUPTED)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m experiments.sweep --config=SET --sweep=SWEEP --workdir=DIR "
        '[--grid="FIELD=VALUE,VALUE;FIELD=VALUE,VALUE"] [--config.FIELD=VALUE ...]',
        "Train and evaluate one network per point of a sweep and print their scores as a table.\n\n"
        "Points that differ in loss weights, seed or numbers of the optimiser train together.\n"
        "Each becomes a run in DIR/POINT. The same command skips what is finished and continues\n"
        "what was stopped.",
    )
    flags.path("config", "", f"The set all points share: {', '.join(known_files('sets'))}")
    flags.string(
        "sweep",
        "",
        f"The points: {', '.join(SWEEPS)}, combined by *, as in loss_weights*seeds=3; or a\n"
        "function of your own, MODULE:FUNCTION or FILE.py:FUNCTION, that yields names and fields.",
    )
    flags.string(
        "grid",
        "",
        "Fields and their values, of which each combination is a point, e.g.\n"
        '--grid="optimizer.learning_rate=1e-3,3e-4;seed=0,1,2"; combined with the sweep if any.',
    )
    flags.path("workdir", "", "The directory that gets one folder per point.")
    flags.integer(
        "at_once", 0, "Points that train at once, at most; 0: as many as fit the memory.", lowest=0
    )
    flags.number(
        "memory_gb", 0.0, "What they may take of it; 0: half, of an accelerator's 90 %.", lowest=0
    )
    flags.choice(
        "way",
        "auto",
        together.WAYS,
        "How points train together: in turn, with a program for each set of heads, or stacked in\n"
        "one program for all, on several devices a part of them on each. By default in turn on\n"
        "CPUs, stacked elsewhere.",
    )
    return flags


def run_points(
    points: Sequence[Point],
    workdir: str | Path,
    *,
    train: Callable[[Mapping[Path, ConfigDict]], object],
    evaluate: Callable[[Path], dict],
    at_once: Callable[[Sequence[Point]], int] = len,
) -> list[Outcome]:
    """Train and evaluate what is not finished yet; write the table after each point.

    Args:
        points: name and config of each.
        workdir: directory of the sweep.
        train: trains, or continues, configs that may train together, by their directories.
        evaluate: scores the run in a directory and returns its results.
        at_once: how many points of a group train at once.

    Returns:
        what came out of each point that has come to an end, in the order of the points.
    """
    workdir = Path(workdir)
    for name, config in points:
        check_resume(config, workdir / name)
    order = [name for name, _ in points]
    outcomes = {name: _outcome(name, config, workdir / name) for name, config in points}
    for name, config in points:
        if not outcomes[name]:
            embedded.check_songs(config, workdir / name)
    for group in together.groups(points):
        size = at_once(group) if any(not outcomes[name] for name, _ in group) else len(group)
        for chunk in together.chunks(group, size):
            left = {workdir / name: own for name, own in chunk if not outcomes[name]}
            if not left:
                continue
            print(
                f"Train    {len(left)} of {len(points)} points: {', '.join(f.name for f in left)}"
            )
            for folder in left:
                (folder / RESULTS_FILE).unlink(missing_ok=True)
            train(left)
            for folder, config in left.items():
                if not why_apart(folder, config):
                    results = evaluate(folder)
                    _write(folder / RESULTS_FILE, json.dumps(results, indent=2) + "\n")
                outcomes[folder.name] = _outcome(folder.name, config, folder)
                write_tables([outcomes[name] for name in order if outcomes[name]], workdir)
    found = [outcomes[name] for name in order if outcomes[name]]
    write_tables(found, workdir)
    _write(workdir / PAGE_FILE, page_html(found, workdir))
    return found


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


def _outcome(name, config, folder) -> Outcome | None:
    """What came out of a point; None where it has not come to an end."""
    results = finished_results(config, folder)
    apart = "" if results else why_apart(folder, config)
    return Outcome(name, config, results, apart) if results or apart else None


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sweep(flags: CommandFlags, overrides: Overrides) -> None:
    if not flags.config or not flags.workdir or not (flags.sweep or flags.grid):
        missing = next(name for name in ("config", "workdir", "sweep") if not flags[name].value)
        example = "--config=sets/set1.py --sweep=loss_weights --workdir=runs/weights"
        raise ValueError(f"--{missing} is missing, e.g. {example}")
    points = load_points(flags.sweep, flags.config, overrides, grid=flags.grid)
    Path(flags.workdir).mkdir(parents=True, exist_ok=True)
    keep_compiled()

    from experiments.evaluate import evaluate
    from experiments.run import tune_thresholds

    def train(configs):
        with contextlib.ExitStack() as held:
            for folder in configs:
                held.enter_context(run_lock(folder))
            together.train_group(configs, way=flags.way)
        for folder, config in configs.items():
            if not why_apart(folder, config):
                tune_thresholds(folder)

    def at_once(group):
        budget = int(1e9 * flags.memory_gb)
        return flags.at_once or together.at_once(group, way=flags.way, budget_bytes=budget)

    with run_lock(flags.workdir), memory_advice():
        run_points(
            points,
            flags.workdir,
            train=train,
            evaluate=lambda folder: evaluate(folder, step="best", split=TEST_SPLIT),
            at_once=at_once,
        )
    print((Path(flags.workdir) / TABLE_FILE).read_text(), end="")


if __name__ == "__main__":
    restart_with_huge_pages()
    sys.exit(main())
