"""Every benchmark imports and explains itself; what it measures is not a test's business."""

import importlib
from pathlib import Path

import pytest

from experiments import benchmarks

FILES = Path(benchmarks.__file__).parent.glob("[!_]*.py")
NAMES = sorted(p.stem for p in FILES if "def main(" in p.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_help(name, capsys):
    module = importlib.import_module(f"experiments.benchmarks.{name}")
    with pytest.raises(SystemExit) as done:
        raise SystemExit(module.main(["--help"]))
    assert done.value.code in (0, None)
    assert f"experiments.benchmarks.{name}" in capsys.readouterr().out
