"""Comparing two benchmark results: what counts as moved, and what is refused."""

import numpy as np
import pytest

from experiments.benchmarks import compare
from experiments.benchmarks.figures import Figures, write


def result(rows: dict, *, better="lower", unit="s", **changes) -> Figures:
    """A result with these samples by row name."""
    entries = [
        {
            "name": name,
            "unit": unit,
            "better": better,
            "median": float(np.median(samples)) if len(samples) else None,
            "samples": [float(sample) for sample in samples],
        }
        for name, samples in rows.items()
    ]
    machine = {"versions": {"JAX": "0.10.2"}, "date": "2026-11-25", "commit": "abc1234"}
    settings = {
        "benchmark": "train_step",
        "machine": {"device": "two cores of a processor", **machine},
        "config": {"batch_size": 8},
    }
    device = changes.pop("device", None)
    found = Figures(**(settings | changes), rows=entries)
    found.machine["device"] = device or found.machine["device"]
    return found


def noisy(middle, *, seed=0, count=9, spread=0.02):
    return middle * np.exp(spread * np.random.default_rng(seed).standard_normal(count))


def verdicts(before, after, **settings) -> dict:
    found = compare.movements(before, after, **settings)
    return {one.name: one.verdict for one in found}


@pytest.mark.parametrize(
    ("factor", "better", "verdict"),
    [
        (1.10, "lower", "worse"),
        (0.90, "lower", "better"),
        (1.10, "higher", "better"),
        (0.90, "higher", "worse"),
        (1.02, "lower", "unchanged"),
        (1.00, "higher", "unchanged"),
    ],
)
def test_a_figure_that_moved_by_more_than_its_noise(factor, better, verdict):
    before = result({"ours": noisy(1.0)}, better=better)
    after = result({"ours": noisy(factor, seed=1)}, better=better)
    assert verdicts(before, after) == {"ours": verdict}


def test_a_change_within_the_noise_is_none():
    before = result({"ours": noisy(1.0, spread=0.3)})
    after = result({"ours": noisy(1.1, spread=0.3, seed=1)})
    assert verdicts(before, after) == {"ours": "unchanged"}


def test_a_clear_change_below_the_least_is_none():
    before = result({"ours": noisy(1.0, spread=0.001)})
    after = result({"ours": noisy(1.02, spread=0.001, seed=1)})
    assert verdicts(before, after) == {"ours": "unchanged"}
    assert verdicts(before, after, least=0.01) == {"ours": "worse"}


def test_few_samples_need_a_larger_change():
    before, after = result({"memory": [100.0]}), result({"memory": [109.0]})
    assert verdicts(before, after) == {"memory": "unchanged"}
    assert verdicts(before, result({"memory": [111.0]})) == {"memory": "worse"}
    assert verdicts(result({"memory": [111.0]}), before) == {"memory": "better"}


@pytest.mark.parametrize(("count", "spread"), [(5, 0.05), (7, 0.05), (15, 0.2)])
def test_equal_figures_are_seldom_called_moved(count, spread):
    """At most 2 % of 400 pairs drawn from one distribution, although their medians often differ by
    more than the least change."""
    names = [f"figure {k}" for k in range(400)]
    rows = [
        {name: noisy(1.0, seed=2 * k + side, count=count, spread=spread)
         for k, name in enumerate(names)}
        for side in (0, 1)
    ]  # fmt: skip
    found = compare.movements(result(rows[0]), result(rows[1]))
    assert sum(abs(one.ratio - 1) > compare.LEAST for one in found) > 60
    assert sum(one.verdict != "unchanged" for one in found) <= 8


def test_most_real_changes_are_found():
    names = [f"figure {k}" for k in range(100)]
    before = {name: noisy(1.0, seed=2 * k, spread=0.03) for k, name in enumerate(names)}
    after = {name: noisy(1.1, seed=2 * k + 1, spread=0.03) for k, name in enumerate(names)}
    found = verdicts(result(before), result(after))
    assert sum(verdict == "worse" for verdict in found.values()) > 90


def test_a_reference_takes_out_what_slowed_the_whole_machine():
    before = result({"ours": noisy(1.0), "peer": noisy(2.0, seed=1)})
    after = result({"ours": noisy(1.2, seed=2), "peer": noisy(2.4, seed=3)})
    assert verdicts(before, after) == {"ours": "worse", "peer": "worse"}
    assert verdicts(before, after, reference="peer")["ours"] == "unchanged"


def test_a_reference_leaves_figures_of_other_units_alone():
    before = result({"ours": noisy(1.0), "peer": noisy(2.0, seed=1)})
    after = result({"ours": noisy(1.2, seed=2), "peer": noisy(2.4, seed=3)})
    before.rows[0]["unit"] = after.rows[0]["unit"] = "MB"
    assert verdicts(before, after, reference="peer")["ours"] == "worse"


def test_a_reference_that_is_not_there():
    both = result({"ours": noisy(1.0)})
    with pytest.raises(ValueError, match="reference: no row 'peer' in the result before; it has"):
        compare.movements(both, both, reference="peer")


def test_a_row_that_changed_its_unit():
    with pytest.raises(ValueError, match=r"row 'ours': s \(lower is better\) before, ms"):
        compare.movements(result({"ours": [1.0]}), result({"ours": [1.0]}, unit="ms"))


def saved(folder, name, figures):
    return str(write(figures, folder / name)[0])


def test_the_table_tells_what_moved_and_what_only_one_result_has(tmp_path, capsys):
    before = result({"ours": noisy(1.0), "old": [1], "same": [1], "broken": [1]})
    after = result({"ours": noisy(2.0), "new": [1], "same": [1], "broken": []})
    assert compare.main([saved(tmp_path, "a.json", before), saved(tmp_path, "b.json", after)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[2:]] == [
        ("worse", "ours"),
        ("unchanged", "same"),
        ("lost", "old"),
        ("lost", "broken"),
        ("new", "new"),
    ]


def test_fail_exits_with_1_only_if_something_got_worse(tmp_path, capsys):
    slow = saved(tmp_path, "slow.json", result({"ours": noisy(2.0)}))
    fast = saved(tmp_path, "fast.json", result({"ours": noisy(1.0)}))
    assert compare.main([fast, slow, "--fail"]) == 1
    assert "worse or lost: ours" in capsys.readouterr().err
    assert compare.main([slow, fast, "--fail"]) == 0
    none = saved(tmp_path, "none.json", result({"ours": []}))
    assert compare.main([slow, none, "--fail"]) == 1
    assert compare.main([slow, none]) == 0


def test_the_results_of_two_folders(tmp_path, capsys):
    for name, seconds in (("before", 1.0), ("after", 2.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "machine.json").write_text("{}")
        saved(tmp_path / name, "train_step.json", result({"step": noisy(seconds)}))
        saved(tmp_path / name, "memory.json", result({"heads": [1.0]}, benchmark="memory"))
    saved(tmp_path / "after", "scaling.json", result({"batch 1": [1.0]}, benchmark="scaling"))
    folders = [str(tmp_path / name) for name in ("before", "after")]
    assert compare.main([*folders, "--fail"]) == 1
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if line in ("memory", "train_step")] == [
        "memory",
        "train_step",
    ]
    assert "worse or lost: step" in shown.err


@pytest.mark.parametrize(
    ("changes", "message", "forced"),
    [
        ({"benchmark": "inference"}, "different benchmarks: train_step and inference", 1),
        ({"device": "another"}, "device is 'two cores of a processor' before and 'another'", 0),
        ({"config": {"batch_size": 16}}, "batch_size is 8 before and 16 after", 0),
        ({"config": {"batch_size": 8, "new": 1}}, "new is None before and 1 after", 0),
    ],
)
def test_results_that_cannot_be_compared(changes, message, forced, tmp_path, capsys):
    before = saved(tmp_path, "a.json", result({"ours": [1.0]}))
    after = saved(tmp_path, "b.json", result({"ours": [1.0]}, **changes))
    assert compare.main([before, after]) == 1
    assert message in capsys.readouterr().err
    assert compare.main([before, after, "--force"]) == forced


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "two result files or folders expected, got 0"),
        (["a", "b", "c"], "two result files or folders expected, got 3"),
        (["absent.json", "{good}"], "No such file or directory: absent.json"),
        ([".", "{good}"], "two folders expected that share a result NAME.json"),
        (["{good}", "{good}", "--least=2"], "least: a share from 0 to 1 expected, got '2'"),
        (["{good}", "{good}", "--least=x"], "least: a share from 0 to 1 expected, got 'x'"),
        (["{good}", "{broken}"], "broken.json: a file written by a benchmark's --out expected"),
        (["{other}", "{good}"], "other.json: a file written by a benchmark's --out expected"),
        (["{negative}", "{good}"], "negative.json: rows with name, unit, better (lower or higher)"),
        (["{sideways}", "{good}"], "got {'name': 'ours', 'unit': 's', 'better': 'sideways'"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    saved(tmp_path, "good.json", result({"ours": [1.0]}))
    saved(tmp_path, "negative.json", result({"ours": [-1.0]}))
    saved(tmp_path, "sideways.json", result({"ours": [1.0]}, better="sideways"))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("[1, 2]")
    names = {path.stem: str(path) for path in tmp_path.glob("*.json")}
    assert compare.main([argument.format(**names) for argument in arguments]) == 1
    assert message in capsys.readouterr().err
