"""The flags that say how the points of a sweep train together reach what trains them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import run, sweep
from experiments.sweeps.table import TABLE_FILE


@pytest.fixture
def called(monkeypatch):
    """What a sweep asks for; nothing is trained, and nine points fit the memory."""
    found = SimpleNamespace(sizes=[], trained=[], budgets=[], tuned=[])

    def run_points(points, workdir, *, train, at_once, evaluate):
        found.sizes.append(at_once(points))
        train({Path(workdir) / name: config for name, config in points[:2]})
        (Path(workdir) / TABLE_FILE).write_text("the table\n")

    def at_once(group, **options):
        found.budgets.append(options)
        return 9

    def train_group(points, *, way):
        found.trained.append(([folder.name for folder in points], way))

    monkeypatch.setattr(sweep, "keep_compiled", lambda: None)
    monkeypatch.setattr(sweep, "run_points", run_points)
    monkeypatch.setattr(sweep.together, "train_group", train_group)
    monkeypatch.setattr(sweep.together, "at_once", at_once)
    monkeypatch.setattr(run, "tune_thresholds", lambda folder: found.tuned.append(folder.name))
    return found


def _sweep(workdir, *flags):
    arguments = ["--config=sets/set1.py", "--sweep=seeds=3", f"--workdir={workdir}", *flags]
    assert sweep.main(arguments) == 0


def test_as_many_as_fit_the_memory_train_at_once_by_default(called, tmp_path, capsys):
    _sweep(tmp_path)
    assert called.sizes == [9]
    assert called.budgets == [{"way": "auto", "budget_bytes": 0}]
    names = ["seed_0", "seed_1"]
    assert (called.trained, called.tuned) == ([(names, "auto")], names)
    assert capsys.readouterr().out == "the table\n"


def test_the_memory_and_the_way_are_those_of_the_flags(called, tmp_path):
    _sweep(tmp_path, "--memory_gb=2.5", "--way=stacked")
    assert called.sizes == [9]
    assert called.budgets == [{"way": "stacked", "budget_bytes": 2_500_000_000}]
    assert [way for _, way in called.trained] == ["stacked"]


def test_a_number_of_points_at_once_needs_no_look_at_the_memory(called, tmp_path):
    _sweep(tmp_path, "--at_once=2", "--way=turn")
    assert (called.sizes, called.budgets) == ([2], [])
    assert [way for _, way in called.trained] == ["turn"]


@pytest.mark.parametrize("flag", ["--at_once=-1", "--memory_gb=-1", "--way=sideways"])
def test_wrong_values_are_refused(called, tmp_path, capsys, flag):
    arguments = ["--config=sets/set1.py", "--sweep=seeds=3", f"--workdir={tmp_path}", flag]
    assert sweep.main(arguments) == 1
    assert flag.partition("=")[0] in capsys.readouterr().err and not called.sizes
