"""The project as a package: one set of versions, public names, commands, and what each needs."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cerberus_jax
from cerberus_jax import pretrained
from data_pipeline.cli.version import version_text
from experiments import console
from experiments.songs.page import WITHOUT_SOUND
from tests import ROOT
from tests.experiments.separate.test_separate import song
from tests.tiny_run import prepare_data, tiny_config, write_run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NO_DEPENDENCIES = "tinysoundfont"  # by the Makefile, with --no-deps
# What an installation without extras lacks.
EXTRA_MODULES = (
    *(Requirement(line).name.replace("-", "_") for line in EXTRAS["train"]),
    NO_DEPENDENCIES,
    "torch",
)


def requirements(lines) -> set[tuple]:
    """(package, marker) with bounds."""
    parsed = [Requirement(line) for line in lines]
    return {(canonicalize_name(r.name), str(r.marker or ""), str(r.specifier)) for r in parsed}


def lines_of(file) -> list[str]:
    lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_requirements_are_those_of_the_project_with_all_extras():
    groups = [PROJECT["dependencies"], *EXTRAS.values()]
    lines = [line for group in groups for line in group]
    assert len(lines) == len(requirements(lines))
    assert requirements(lines_of("requirements.txt")) == requirements(lines)


def test_every_requirement_has_an_exact_version_within_its_bounds():
    pins = {}
    for line in lines_of("constraints.txt"):
        pin = Requirement(line)
        (specifier,) = pin.specifier
        assert specifier.operator == "==" and "*" not in specifier.version, line
        pins.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    for line in [*lines_of("requirements.txt"), NO_DEPENDENCIES]:
        wanted = Requirement(line)
        versions = pins.get(canonicalize_name(wanted.name), [])
        assert versions, f"constraints.txt has no version of {wanted.name}"
        assert all(wanted.specifier.contains(version) for version in versions), line


def test_one_version():
    assert PROJECT["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", cerberus_jax.__version__)
    assert cerberus_jax.__version__ in version_text() and "jax 0." in version_text()


def test_the_citation_is_that_of_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    paper = citation["preferred-citation"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert paper["title"] in readme and paper["identifiers"][0]["value"] in readme
    authors = [
        f"{author['given-names'][0]}. {author['family-names']}" for author in paper["authors"]
    ]
    assert ", ".join(authors) in readme


def test_type_checkers_see_the_names_that_are_resolved_late():
    tree = ast.parse((ROOT / "cerberus_jax" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert block.test.id == "TYPE_CHECKING"
    seen = {
        (node.module, alias.asname)
        for node in block.body
        for alias in node.names
        if alias.name == alias.asname  # "as" makes a name public to them
    }
    listed = {
        (f"cerberus_jax.{module}", name)
        for module, names in cerberus_jax._PUBLIC.items()
        for name in names
    }
    assert seen == listed
    for package in ("cerberus_jax", "data_pipeline", "experiments"):
        assert (ROOT / package / "py.typed").is_file()


def test_every_command_has_a_console_script():
    commands = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__main__")
        for folder in ("experiments", "data_pipeline", "data_pipeline/minislakh")
        for path in (ROOT / folder).glob("*.py")
        if "\ndef main(argv" in path.read_text() and path.stem != "statistics"
    }
    scripts = {
        getattr(console, target.removeprefix("experiments.console:"))
        for target in PROJECT["scripts"].values()
    }
    assert {script.args[0].removesuffix(".__main__") for script in scripts} == commands


def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path):
    """The networks and the parts of pages too."""
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    packages = ("cerberus_jax", "data_pipeline", "experiments")
    tracked = subprocess.check_output(["git", "ls-files", *packages], cwd=ROOT, text=True)
    assert held == set(tracked.splitlines())
    assert {f"cerberus_jax/networks/{name}.safetensors" for name in pretrained.names()} <= held


def as_script(name: str, *arguments: str, without=()) -> subprocess.CompletedProcess:
    """Runs a console command as its script does, where some packages are not installed."""
    code = (
        f"import sys; sys.modules |= dict.fromkeys({tuple(without)!r}); "
        f"from experiments import console; sys.exit(console.{name}())"
    )
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"GLIBC_TUNABLES": ""}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("name", ["train", "separate", "prepare"])
def test_a_script_explains_itself(name):
    run = as_script(name, "--help")
    assert run.returncode == 0 and "usage: python -m" in run.stdout, run.stderr


@pytest.mark.parametrize(
    ("name", "package", "remedy"),
    [
        ("evaluate", "mir_eval", r"pip install '\.\[train\]'"),
        ("train", "ml_collections", r"pip install '\.\[train\]'"),
        ("minislakh", "tinysoundfont", "pip install --no-deps tinysoundfont"),
    ],
)
def test_a_missing_package_is_named_with_how_to_install_it(name, package, remedy):
    run = as_script(name, "--help", without=[package])
    assert run.returncode == 1
    assert re.fullmatch(f"error: {package} is not installed; {remedy}.*\n", run.stderr)


def test_a_fault_of_the_project_is_not_taken_for_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "experiments.report", None)
    with pytest.raises(ModuleNotFoundError):
        console.report()


def test_an_installation_without_extras_separates_a_song(tmp_path):
    run = write_run(tmp_path / "run", tiny_config(prepare_data(tmp_path / "prepared")))
    path = song(tmp_path / "a.wav")
    arguments = (f"--workdir={run}", f"--out={tmp_path / 'out'}", str(path))
    separated = as_script("separate", *arguments, without=EXTRA_MODULES)
    assert separated.returncode == 0, separated.stderr
    assert "pip install --no-deps tinysoundfont" in separated.stdout
    folder = tmp_path / "out" / "a"
    names = {file.name for file in folder.iterdir()}
    assert {"piano.wav", "drums.wav", "notes.csv", "transcription.mid", "index.html"} <= names
    assert [file.name for file in (folder / "page").iterdir()] == ["mixture.flac"]
    assert WITHOUT_SOUND in (folder / "index.html").read_text()


def test_an_environment_behind_a_link_is_not_emptied(tmp_path):
    """`venv --clear` follows links: what a clone borrows from another would be lost."""
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kept").touch()
    (tmp_path / ".venv").symlink_to("other")
    command = ["make", "venv", f"PYTHON={sys.executable}", "VENV=.venv"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode and ".venv is a link: installing would empty" in made.stderr
    assert (tmp_path / "other" / "kept").exists()
