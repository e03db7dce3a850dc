"""`python -m COMMAND` without a package says in one line what to install."""

import os
import re
import subprocess
import sys

import pytest

from data_pipeline.cli.missing import explanation
from tests import ROOT
from tests.waiting import MAX_SECONDS


def run_without(package, folder, *command) -> subprocess.CompletedProcess:
    """Runs `python -m` where the package cannot be imported."""
    (folder / "sitecustomize.py").write_text(f"import sys; sys.modules[{package!r}] = None\n")
    environment = os.environ | {"PYTHONPATH": str(folder), "GLIBC_TUNABLES": ""}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
    )


@pytest.mark.parametrize(
    ("module", "package", "remedy"),
    [
        ("experiments.run", "ml_collections", r"pip install '\.\[train\]'"),
        ("experiments.sweep", "ml_collections", r"pip install '\.\[train\]'"),
        ("experiments.evaluate", "mir_eval", r"pip install '\.\[train\]'"),
        ("experiments.studies.ceiling", "mir_eval", r"pip install '\.\[train\]'"),
        ("data_pipeline.prepare", "yaml", r"pip install '\.\[train\]'"),
        ("data_pipeline.inspect", "matplotlib", r"pip install '\.\[train\]'"),
        ("data_pipeline.minislakh", "tinysoundfont", "pip install --no-deps tinysoundfont"),
    ],
)
def test_a_missing_package_is_one_line(tmp_path, module, package, remedy):
    result = run_without(package, tmp_path, module, "--help")
    assert result.returncode == 1
    assert re.fullmatch(f"error: {package} is not installed; {remedy}.*\n", result.stderr)


def test_debug_shows_where_it_is_needed(tmp_path):
    result = run_without("ml_collections", tmp_path, "experiments.run", "--debug")
    assert result.returncode == 1 and "Traceback" in result.stderr


def test_other_errors_and_our_own_modules_are_not_explained():
    assert explanation(ModuleNotFoundError("no", name="experiments.nothing")) == ""
    assert explanation(ModuleNotFoundError("no")) == ""
    assert explanation(ValueError("no")) == ""
    assert "pip install torch" in explanation(ModuleNotFoundError("no", name="torch"))
