"""The one form of results: written, read back, shown."""

import json

import pytest

from experiments.benchmarks import figures
from experiments.benchmarks.figures import Figures, row
from experiments.benchmarks.race import Side, SideResult

MACHINE = {
    "device": "a processor, 2 cores",
    "versions": {"Python": "3.11.7", "JAX": "0.10.2"},
    "date": "2026-11-25",
    "commit": "abc1234",
    "product_flops": {"float32": 1e11},
    "copy_bytes": 1e10,
}


@pytest.fixture
def found() -> Figures:
    rows = [
        row("fast", unit="s", better="lower", median=0.5, samples=[0.4, 0.5, 0.6], ratio=2.0),
        row("broken", unit="s", better="lower", median=None, samples=[], error="no such thing"),
    ]
    columns = {"side": ["name", ""], "s": ["median", ".2f"], "x": ["ratio", ".1f"], "GB": ["g", ""]}
    return Figures("speed", MACHINE, {"batch_size": 8}, rows, columns, ["broken failed: why"])


def test_what_is_written_is_read_back(found, tmp_path):
    path, table = figures.write(found, tmp_path / "new" / "speed.json")
    assert figures.read(path) == found
    assert table.read_text() == figures.markdown(found) + "\n"


def test_the_file_has_the_agreed_keys(found, tmp_path):
    whole = json.loads(figures.write(found, tmp_path / "speed.json")[0].read_text())
    assert {"benchmark", "machine", "date", "commit", "config", "rows"} <= set(whole)
    assert (whole["date"], whole["commit"]) == ("2026-11-25", "abc1234")
    assert {"name", "unit", "better", "median", "samples"} <= set(whole["rows"][0])


def test_the_table_leaves_out_what_no_row_has(found):
    assert figures.markdown(found).splitlines() == [
        "speed: a processor, 2 cores; Python 3.11.7, JAX 0.10.2; 2026-11-25, commit abc1234",
        "",
        "| side | s | x |",
        "|---|---|---|",
        "| fast | 0.50 | 2.0 |",
        "| broken |  |  |",
        "",
        "* broken failed: why",
    ]


def test_better_is_one_of_two_words():
    with pytest.raises(ValueError, match="better: one of lower, higher, got 'more'"):
        row("x", unit="s", better="more", median=1.0, samples=[1.0])


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": "speed"}', "3"])
def test_a_file_of_another_kind(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json: a file written by a benchmark's --out"):
        figures.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        figures.read(tmp_path / "missing.json")


def test_the_row_of_a_side():
    side = Side("ours", "a:b", precision="bfloat16")
    result = SideResult(side, [2.0, 1.0, 9.0], [4.0, 2.0, 2.0], [0.0, 0.0, 0.5], peak_mb=7.0)
    found = figures.timing("ours, batch 8", result, batch="8")
    assert found["name"] == "ours, batch 8"
    assert (found["median"], found["least"], found["cpu_seconds"]) == (1.5, 1.0, 3.0)
    assert (found["samples"], found["quiet_rounds"]) == ([2.0, 1.0], "2/3")
    assert (found["precision"], found["peak_mb"], found["batch"]) == ("bfloat16", 7.0, "8")


def test_the_row_of_a_side_that_failed():
    found = figures.timing("ours", SideResult(Side("ours", "a:b"), error="no such thing"))
    assert (found["median"], found["samples"], found["error"]) == (None, [], "no such thing")
