"""The benchmark of the start: its stages add up, its table shows them, a bad request is refused."""

import json
import subprocess
import sys

import pytest

from experiments.benchmarks import startup
from tests import ROOT
from tests.tiny_run import INSTRUMENTS, prepare_data


def _start(name, seconds, total):
    hits, misses = (0, 7) if name == "cold" else (7, 0)
    counts = {"cache_hits": hits, "cache_misses": misses}
    stages = dict.fromkeys(startup.STAGES, seconds)
    return {"name": name, "seconds": stages, "total": total} | counts


def test_medians_and_the_longest():
    starts = [_start("cold", s, 5 * s) for s in (1.0, 4.0, 2.0)] + [_start("warm", 0.5, 2.5)]
    cold, warm = startup.summarise(starts)
    assert cold["seconds"] == dict.fromkeys(startup.STAGES, 2.0)
    assert (cold["total"], cold["longest"], warm["total"]) == (10.0, 20.0, 2.5)
    text = startup.markdown(
        {"cpu": "CPU", "cores": 2, "python": "3.11", "fields": {}, "table": [cold, warm]}
    )
    assert "| cold | 2.0 | 2.0 | 2.0 | 2.0 | 2.0 | **10.0** (20.0) | 0, 7 |" in text
    assert "| warm | 0.5 | 0.5 | 0.5 | 0.5 | 0.5 | **2.5** (2.5) | 7, 0 |" in text


@pytest.mark.parametrize("rounds", ["0", "x", "-1"])
def test_rounds_that_are_no_number_are_refused(rounds, capsys):
    assert startup.main([f"--rounds={rounds}"]) == 1
    assert f"--rounds must be a whole number from 1 on, got '{rounds}'" in capsys.readouterr().err


def test_a_tiny_start_compiles_once_and_then_nothing(tmp_path):
    out = tmp_path / "figures.json"
    root = prepare_data(tmp_path / "data")
    command = [sys.executable, "-m", "experiments.benchmarks.startup", "--small", f"--out={out}"]
    fields = [f"--config.data.root={root}", f"--config.instruments={','.join(INSTRUMENTS)}"]
    done = subprocess.run([*command, *fields], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(out.read_text())
    cold, warm = figures["starts"]
    assert cold["cache_misses"] > 0 == cold["cache_hits"]
    assert warm["cache_misses"] == 0 < warm["cache_hits"]
    for start in (cold, warm):
        assert set(start["seconds"]) == set(startup.STAGES)
        assert sum(start["seconds"].values()) == pytest.approx(start["total"])
        assert min(start["seconds"].values()) > 0
    assert done.stdout.endswith(out.with_suffix(".md").read_text())
