"""What checkpoints cost: the arithmetic, and that the command measures."""

import json

import pytest

from experiments.benchmarks import checkpoints
from tests.tiny_training import TINY


def test_the_cost_of_a_save_is_shared_out_over_the_interval():
    turns = [({"passed": 2.0}, {"passed": 2.0 + extra}) for extra in (0.4, 0.5, 9.0)]
    found = checkpoints.cost(turns, "passed", steps=20, interval=500)
    assert found == {"step": pytest.approx(0.1), "save": 0.5, "percent": pytest.approx(1.0)}


def test_the_command_prints_both_clocks(tmp_path, capsys):
    fields = [f"--config.{name}={value}" for name, value in TINY.items()]
    out = tmp_path / "found.json"
    arguments = ["--config=sets/set1.py", "--steps=2", "--rounds=2", f"--out={out}", *fields]
    assert checkpoints.main(arguments) == 0
    assert "% at the interval" in capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert [row["clock"] for row in rows] == ["passed", "processor"]
    assert all(row["step"] > 0 for row in rows)
