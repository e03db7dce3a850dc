"""What the code must look like, read from its syntax trees: imports, sizes, habits.

Each rule is one test; it fails with the list of the lines that break it.
"""

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests import ROOT
from tests.waiting import MAX_SECONDS

PACKAGES = ("cerberus_jax", "data_pipeline", "experiments")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in [*SOURCES, *TESTS]}

FRAMEWORKS = {"tensorflow", "tensorflow_datasets"}
AUDIO = {"soundfile", "soxr"}
ONLY_FOR_TRAINING = {
    "matplotlib",
    "mir_eval",
    "ml_collections",
    "pooch",
    "pretty_midi",
    "tinysoundfont",
}
FORBIDDEN = {
    "cerberus_jax": {*FRAMEWORKS, "mir_eval", "ml_collections", "data_pipeline", "experiments"},
    "data_pipeline": {"jax", "jaxlib", "flax", "optax", "orbax", "ml_collections", "experiments"},
    "experiments": set(),
}
SHARED_WITH_THE_PIPELINE = (
    "cerberus_jax.__version__",
    "cerberus_jax.analysis_signal",
    "cerberus_jax.equaliser",
    "cerberus_jax.frames",
    "cerberus_jax.json_files",
    "cerberus_jax.notes",
    "cerberus_jax.outside",
)

TARGET_LINES, MAX_LINES = 300, 320
MAX_LINES_OF_A_FUNCTION = 80

# Modules that no test imports: what is tested is a command, a config or a process of theirs.
TESTED_BY_COMMANDS = (
    "cerberus_jax/lstm/cell.py",
    "cerberus_jax/lstm/layer.py",
    "cerberus_jax/lstm/persistent_kernels.py",
    "cerberus_jax/per_device.py",
    "data_pipeline/corpora/track.py",
    "data_pipeline/excerpts.py",
    "data_pipeline/minislakh/",
    "data_pipeline/reading/cpu_tensorflow.py",
    "experiments/benchmarks/",  # each prints a table, by hand: BENCHMARKS.md
    "experiments/sets/",
    "experiments/songs/progress.py",
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def nodes(*, kinds, paths) -> list[tuple[str, ast.AST]]:
    """('file:line', node) of every syntax node of these kinds in these files."""
    return [
        (f"{name_of(path)}:{node.lineno}", node)
        for path in paths
        for node in ast.walk(TREES[path])
        if isinstance(node, kinds)
    ]


def imported(path: Path) -> list[tuple[str, str]]:
    """('file:line', dotted name) of everything a file imports, inside functions too."""
    found = []
    for where, node in nodes(kinds=ast.Import | ast.ImportFrom, paths=[path]):
        base = "" if isinstance(node, ast.Import) else f"{node.module}."
        if getattr(node, "level", 0):
            base = f"{package_of(path)}.{node.module or ''}."
        found += [(where, base + alias.name) for alias in node.names]
    return found


def fail_on(offences: list[str]):
    assert not offences, "\n".join(offences)


def test_imports_go_in_one_direction():
    offences = []
    for path in SOURCES:
        package = package_of(path)
        for where, name in imported(path):
            top = name.split(".")[0]
            if top in FORBIDDEN[package]:
                offences.append(f"{where} imports {name}, which {package} must not know")
            shared = any(f"{name}.".startswith(f"{part}.") for part in SHARED_WITH_THE_PIPELINE)
            if package == "data_pipeline" and top == "cerberus_jax" and not shared:
                offences.append(f"{where} imports {name}, only {SHARED_WITH_THE_PIPELINE} may be")
    fail_on(offences)


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("cerberus_jax", {"jax", *FRAMEWORKS}),
        ("cerberus_jax.frames, cerberus_jax.notes", {"jax", *FRAMEWORKS}),
        ("cerberus_jax.inference, cerberus_jax.steps", {*FRAMEWORKS, *ONLY_FOR_TRAINING, *AUDIO}),
        ("data_pipeline.planning.planner", {"jax", *FRAMEWORKS}),
        ("data_pipeline.cli.version", {"jax", *FRAMEWORKS}),
        ("experiments.train", {*FRAMEWORKS, *AUDIO}),
        ("experiments.separate", {*FRAMEWORKS, *ONLY_FOR_TRAINING}),
        ("experiments.console", {"jax", *FRAMEWORKS, *ONLY_FOR_TRAINING, *AUDIO}),
    ],
)
def test_an_import_does_not_start_what_it_does_not_need(modules, absent):
    code = f"import {modules}, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MAX_SECONDS)
    assert run.returncode == 0, run.stderr
    assert not absent & set(run.stdout.split())


def test_every_public_name_resolves():
    import cerberus_jax

    for name in cerberus_jax.__all__:
        assert getattr(cerberus_jax, name).__name__ == name
    assert set(cerberus_jax.__all__) <= set(dir(cerberus_jax))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cerberus_jax.nothing  # noqa: B018


def test_files_are_short_enough_to_read_at_once():
    lengths = {path: len(path.read_text().splitlines()) for path in TREES}
    for path, lines in lengths.items():
        if TARGET_LINES < lines <= MAX_LINES:
            warnings.warn(f"{name_of(path)} has {lines} lines, the aim is 300", stacklevel=1)
    fail_on([f"{name_of(p)} has {n} lines" for p, n in lengths.items() if n > MAX_LINES])


def test_functions_fit_on_a_page():
    offences = []
    for where, node in nodes(kinds=ast.FunctionDef | ast.AsyncFunctionDef, paths=TREES):
        lines = node.end_lineno - node.lineno + 1
        if lines >= MAX_LINES_OF_A_FUNCTION:
            offences.append(f"{where} {node.name} has {lines} lines")
    fail_on(offences)


def test_every_module_says_what_it_is():
    fail_on([name_of(path) for path in SOURCES if not ast.get_docstring(TREES[path])])


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for path in SOURCES}
    fail_on([name_of(folder) for folder in folders if not (folder / "__init__.py").exists()])


def test_library_code_raises_instead_of_asserting():
    fail_on([where for where, _ in nodes(kinds=ast.Assert, paths=SOURCES)])


def test_no_error_is_swallowed_unnamed():
    handlers = nodes(kinds=ast.ExceptHandler, paths=TREES)
    fail_on([where for where, node in handlers if node.type is None])


def test_annotations_are_not_postponed_since_that_hides_them_from_the_shape_checks():
    imports = nodes(kinds=ast.ImportFrom, paths=TREES)
    fail_on([where for where, node in imports if node.module == "__future__"])


def test_the_library_prints_nothing():
    library = [path for path in SOURCES if package_of(path) == "cerberus_jax"]
    calls = nodes(kinds=ast.Call, paths=library)
    fail_on([where for where, node in calls if getattr(node.func, "id", "") == "print"])


def lines_matching(pattern: str, paths) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_nothing_is_left_to_do():
    fail_on(lines_matching(r"\b(TODO|FIXME|XXX|HACK)\b", SOURCES))


def test_no_path_of_one_machine_is_written_down():
    folders = "|".join(["work", "home", "root", "Users", "tmp", "mnt", "opt"])
    texts = ["Makefile", "requirements.txt", "constraints.txt", "pyproject.toml", ".gitignore"]
    texts = [ROOT / name for name in [*texts, ".ci/run", "CITATION.cff", *ROOT.glob("*.md")]]
    fail_on(lines_matching(rf"(?<![\w.}}])/(?:{folders})/", [*TREES, *texts]))


def test_every_module_has_tests():
    used = {name for path in TESTS for _, name in imported(path)}
    used |= {name.rpartition(".")[0] for name in used}
    offences = []
    for path in SOURCES:
        name = name_of(path)
        if path.name == "__init__.py" or name.startswith(TESTED_BY_COMMANDS):
            continue
        own = ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.name}")
        if not own.exists() and name.removesuffix(".py").replace("/", ".") not in used:
            offences.append(f"{name}: no test imports it")
    fail_on(offences)


def test_the_list_of_exceptions_is_up_to_date():
    fail_on([name for name in TESTED_BY_COMMANDS if not (ROOT / name).exists()])
