"""The README keeps its word: commands parse, files and targets exist, the Python sample is valid.

Each command line is parsed by the module's own flags: the module runs as under `python -m`, with
the function behind the flags replaced by one that only checks the config.
"""

import ast
import re
import shlex
import subprocess
import sys

import pytest

from tests import ROOT

README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {
        line.strip()
        for _, block in FENCES
        for line in block.splitlines()
        if line.strip().startswith("python -m ")
    }
)

PARSE_ONLY = """
import runpy, sys
from data_pipeline.cli import flags as command_line
from experiments.config.loading import load_config

run_command = command_line.run_command

def parse_command(command, flag_values, **options):
    def check(flags, overrides=None):
        if overrides is not None:
            load_config(flags.config, overrides)
        print("parsed")

    return run_command(check, flag_values, **options)

command_line.run_command = parse_command
module = sys.argv[1]
sys.argv = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=False)
"""


def parse(command: str) -> subprocess.CompletedProcess:
    arguments = shlex.split(command)[2:]
    program = [sys.executable, "-c", PARSE_ONLY, *arguments]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_parses(command):
    run = parse(command)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "parsed" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize(
    "command",
    [
        "python -m experiments.run --config=sets/set4.py --colour=red",
        "python -m experiments.run --config=sets/set4.py --config.loss.melody=1",
        "python -m experiments.evaluate --workdirs=runs/set4",
        "python -m data_pipeline.prepare --corpus=slakh2100 --routes=SLAKH --out=PREPARED",
    ],
)
def test_a_wrong_command_would_be_noticed(command):
    run = parse(command)
    assert run.returncode != 0 or "parsed" not in run.stdout


def test_every_command_of_the_project_is_shown():
    shown = {command.split()[2] for command in COMMANDS}
    assert shown == {
        *(f"data_pipeline.{name}" for name in ("prepare", "minislakh", "inspect", "excerpts")),
        *(f"experiments.{name}" for name in ("run", "evaluate", "separate", "sweep", "report")),
    }


def test_the_make_targets_exist():
    wanted = set(re.findall(r"\bmake ([a-z]+)", " ".join(block for _, block in FENCES)))
    wanted |= set(re.findall(r"`make ([a-z]+)", README))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= wanted <= targets


def test_the_linked_files_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_sets_of_the_table_are_those_in_the_folder():
    named = set(re.findall(r"^\| `sets/(\w+)\.py`", README, re.MULTILINE))
    files = {path.stem for path in (ROOT / "experiments" / "sets").glob("*.py")}
    assert named == files - {"__init__", "base"}


def test_the_python_sample_uses_what_exists():
    sample = next(block for language, block in FENCES if language == "python")
    tree = ast.parse(sample)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    import cerberus_jax

    for node in imports:
        assert node.module == "cerberus_jax"
        assert {alias.name for alias in node.names} <= set(cerberus_jax.__all__)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {"load", "predict", "instruments", "sources", "notes"} <= used
    for name in ("load", "predict"):
        assert callable(getattr(cerberus_jax.Predictor, name))
    fields = set(cerberus_jax.Prediction.__dataclass_fields__)
    assert {"instruments", "sources", "notes"} <= fields
