"""The README and the pages of docs/ are true: commands parse; links, files, fields and names exist.

Each command line is parsed by the module's own flags: the module runs as under `python -m`, with
the function behind the flags replaced by one that only checks the config.
"""

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from data_pipeline.corpora.registry import CORPORA
from data_pipeline.instruments import INSTRUMENTS
from experiments.config.loading import flatten
from experiments.runtime.huge_pages import huge_pages
from experiments.sets import base
from tests import ROOT
from tests.waiting import MAX_SECONDS

README = ROOT / "README.md"
MAX_README_LINES = 150
# Not those of docs/extending, whose code and commands are about files that a reader adds.
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path: path.read_text() for path in PAGES}
LINKING = [*PAGES, *sorted((ROOT / "docs" / "extending").glob("*.md"))]

COMMANDS_OF_PROJECT = {
    *(f"data_pipeline.{name}" for name in ("prepare", "minislakh", "inspect", "excerpts")),
    *(
        f"experiments.{name}"
        for name in ("run", "evaluate", "separate", "sweep", "report", "compare")
    ),
    "experiments.import_torch",
    "experiments.export",
}

# Beside them, commands that measure and whose flags the documents name in passing.
MEASURING = (
    "experiments.benchmarks.memory",
    "experiments.benchmarks.sweep",
    "experiments.studies.tracks",
)

PARSE_ONLY = """
import contextlib, io, json, runpy, sys
from data_pipeline.cli import flags as command_line
from experiments.config.loading import load_config

run_command = command_line.run_command

def parse_command(command, flag_values, **options):
    def check(flags, overrides=None):
        if overrides is not None:
            load_config(flags.config if "config" in flags else "sets/set1.py", overrides)
        print("parsed")

    return run_command(check, flag_values, **options)

command_line.run_command = parse_command
ends = []
for arguments in json.load(sys.stdin):
    sys.argv, said, code = arguments, io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=False)
        except SystemExit as end:
            code = end.code
    ends.append((code, said.getvalue()))
print(json.dumps(ends))
"""
WRONG_COMMANDS = [
    "python -m experiments.run --config=sets/set4.py --colour=red",
    "python -m experiments.run --config=sets/set4.py --config.loss.melody=1",
    "python -m experiments.evaluate --workdirs=runs/set4",
    "python -m data_pipeline.prepare --corpus=slakh2100 --routes=SLAKH --out=PREPARED",
]


def fences(text: str) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def lines_of_blocks(start: str) -> list[str]:
    """The lines of fenced blocks that begin so, each once."""
    blocks = (block for text in TEXTS.values() for _, block in fences(text))
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return sorted({line for line in lines if line.startswith(start)})


def inline_code(text: str) -> list[str]:
    """What stands between backticks outside fenced blocks."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", prose)


def all_inline_code() -> set[str]:
    return {code for text in TEXTS.values() for code in inline_code(text)}


COMMANDS = lines_of_blocks("python -m ")
SAMPLES = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path, text in TEXTS.items()
    for number, block in enumerate(b for language, b in fences(text) if language == "python")
]


@cache
def ends() -> dict[str, tuple[int, str]]:
    """Exit code and output of each command, all parsed in one process."""
    commands = [*COMMANDS, *WRONG_COMMANDS]
    run = subprocess.run(
        [sys.executable, "-c", PARSE_ONLY],
        input=json.dumps([shlex.split(command)[2:] for command in commands]),
        cwd=ROOT,
        env=os.environ | huge_pages({}),  # as commands have them that started themselves anew
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return dict(zip(commands, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_parses(command):
    code, output = ends()[command]
    assert code in (0, None), output
    assert output.splitlines()[-1] == "parsed", output


@pytest.mark.parametrize("command", WRONG_COMMANDS)
def test_a_wrong_command_would_be_noticed(command):
    code, output = ends()[command]
    assert code and "parsed" not in output


def test_every_command_of_the_project_is_shown():
    assert {command.split()[2] for command in COMMANDS} >= COMMANDS_OF_PROJECT


def test_the_readme_is_short():
    assert len(TEXTS[README].splitlines()) <= MAX_README_LINES


def test_the_make_targets_exist():
    code = [*all_inline_code(), *lines_of_blocks("make ")]
    named = {target for text in code for target in re.findall(r"^make ([a-z]+)", text)}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_what_pip_installs_is_offered():
    installed = [
        argument
        for line in lines_of_blocks("pip install ")
        for argument in shlex.split(line, comments=True)[2:]
    ]
    extras = {argument[2:-1] for argument in installed if argument.startswith(".[")}
    assert "." in installed
    assert extras
    assert extras <= project()["optional-dependencies"].keys()


def test_the_console_commands_exist():
    scripts = re.compile(r"cerberus(-[a-z]+)+")
    named = {code.split()[0] for code in all_inline_code() if scripts.fullmatch(code.split()[0])}
    assert named
    assert named <= project()["scripts"].keys()


@pytest.mark.parametrize("page", LINKING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def anchors(page: Path) -> set[str]:
    """The names by which GitHub links to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_files_of_the_project_that_are_named_exist():
    paths = re.compile(r"(cerberus_jax|data_pipeline|experiments|tests|docs)/[\w./-]*\w")
    named = {code for code in all_inline_code() if paths.fullmatch(code)}
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize(
    "page", [README, ROOT / "docs" / "training.md"], ids=lambda path: path.stem
)
def test_the_sets_of_the_table_are_those_in_the_folder(page):
    named = set(re.findall(r"^\| `sets/(\w+)\.py`", TEXTS[page], re.MULTILINE))
    files = {path.stem for path in (ROOT / "experiments" / "sets").glob("*.py")}
    assert named == files - {"__init__", "base"}


def test_the_table_of_fields_is_complete_and_has_their_defaults():
    text = TEXTS[ROOT / "docs" / "training.md"]
    rows = re.findall(r"^\| `([\w.]+)` \| (empty|`[^`]*`) \|", text, re.MULTILINE)
    fields = flatten(base.get_config())
    assert {name: shown.strip("`") for name, shown in rows} == {
        name: shown_default(default) for name, default in fields.items()
    }


def shown_default(value: object) -> str:
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return text or "empty"


def test_the_fields_that_are_named_exist():
    fields = flatten(base.get_config())
    groups = {name.partition(".")[0] for name in fields if "." in name}
    named = {code.removeprefix("--config.").partition("=")[0] for code in all_inline_code()}
    named = {name for name in named if re.fullmatch(rf"({'|'.join(groups)})\.\w+", name)}
    named -= {"data.json"}  # a file
    assert named
    assert not named - fields.keys()


def test_all_classes_and_corpora_are_listed():
    rows = set(re.findall(r"^\| `(\w+)` \|", TEXTS[ROOT / "docs" / "data.md"], re.MULTILINE))
    assert {*INSTRUMENTS, *CORPORA} <= rows


def test_the_flags_that_are_named_exist(capsys):
    for name in (*COMMANDS_OF_PROJECT, *MEASURING):
        module = importlib.import_module(name)
        main = getattr(module, "main", None) or importlib.import_module(f"{name}.__main__").main
        main(["--help"])
    helps = capsys.readouterr().out
    known = set(re.findall(r"^  --(?:\[no\])?(\w+)", helps, re.MULTILINE))
    switches = set(re.findall(r"^  --(?:\[no\])?(\w+)$", helps, re.MULTILINE))
    known |= {f"no{name}" for name in switches}
    named = set()
    for code in all_inline_code():
        if not code.startswith("pip "):
            named |= set(re.findall(r"(?<!\S)--(\w+)(?![\w.])", code))
    assert named
    assert sorted(named - known) == []


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_python_sample_uses_what_exists(sample):
    for node in ast.walk(ast.parse(sample)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("cerberus_jax"):
            module = importlib.import_module(node.module)
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing


def test_the_predictor_of_the_samples_has_what_they_use():
    import cerberus_jax

    trees = [ast.parse(block) for _, block in fences(TEXTS[README]) if "Predictor" in block]
    used = {n.attr for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert {"pretrained", "predict", "instruments", "sources", "notes"} <= used
    for name in ("pretrained", "load", "predict"):
        assert callable(getattr(cerberus_jax.Predictor, name))
    fields = set(cerberus_jax.Prediction.__dataclass_fields__)
    assert {"instruments", "sources", "notes"} <= fields
