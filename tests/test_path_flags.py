"""~ in the flags of all commands: every file and folder is expanded in the same place."""

import importlib
import re
from pathlib import Path

import absl.flags
import pytest

from data_pipeline.cli import flags as cli
from data_pipeline.cli.paths import local_path
from experiments import run
from experiments.config.loading import load_config
from tests import ROOT

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for name in ("data_pipeline", "experiments")
    for path in (ROOT / name).rglob("*.py")
    if re.search(r"(?<!def )run_command\(", path.read_text()) and path.parts[-2] != "config"
    if path.parts[-2] != "cli"
)
# The only flags of free text that are not one file or folder.
TEXTS = {
    "networks",
    "sweep",
    "grid",
    "threshold",
    "onset_threshold",
    "step",
    "licence",
    "split",
    "results",
    "coordinator",
    "process",
    "instrument",
}


class Parsed(Exception):
    """Ends a command that has got its flags."""


def flags_of(module: str, monkeypatch, *argv) -> cli.CommandFlags:
    """The flags that a command defines, parsed."""

    def stop(command, flag_values, **options):
        flag_values.parse(argv)
        raise Parsed(flag_values)

    imported = importlib.import_module(module)
    monkeypatch.setattr(imported, "run_command", stop)
    with pytest.raises(Parsed) as caught:
        imported.main([])
    return caught.value.args[0]


def test_there_are_all_commands():
    assert {"experiments.run", "data_pipeline.prepare", "data_pipeline.minislakh.__main__"} < set(
        COMMANDS
    )
    assert len(COMMANDS) >= 25


@pytest.mark.parametrize("module", COMMANDS)
def test_every_path_of_a_command_may_begin_with_the_home_folder(module, monkeypatch):
    monkeypatch.setenv("HOME", "/someone")
    flags = flags_of(module, monkeypatch)
    names = [name for name in flags if flags[name].flag_type() in ("string", "multi string")]
    assert set(names) <= TEXTS
    paths = [name for name in flags if isinstance(flags[name].parser, cli._Path)]
    flags = flags_of(module, monkeypatch, *(f"--{name}=~/a" for name in paths))
    for name in paths:
        assert flags[name].value in ("/someone/a", ["/someone/a"])
        with pytest.raises(absl.flags.Error, match=r"s3://bucket/a: a local file or folder"):
            flags.parse([f"--{name}=s3://bucket/a"])


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://bucket/run", "file:///run"])
def test_a_run_in_another_storage_is_refused_before_anything_is_made(
    address, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run.main(["--config=sets/demo.py", f"--workdir={address}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert address in line and "local" in line
    with pytest.raises(ValueError, match=rf"data\.root={address}: a local file or folder"):
        load_config("sets/set1.py", {"data.root": address})
    assert not list(tmp_path.iterdir())


def test_songs_that_are_addresses_are_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"https://example/song\.wav: a local file or folder"):
        flags_of("experiments.separate", monkeypatch, "https://example/song.wav")


def test_colons_and_slashes_alone_make_no_address():
    for name in ("a:b", "/x://y", "./gs://y", "1://y", "gs:/y"):
        assert local_path(name) == name


def test_the_songs_to_separate_may_begin_with_it_too(monkeypatch):
    monkeypatch.setenv("HOME", "/someone")
    flags = flags_of("experiments.separate", monkeypatch, "~/a.wav", "b~.wav", "--", "~/-c.wav")
    assert flags.arguments == ("/someone/a.wav", "b~.wav", "/someone/-c.wav")


def test_and_so_may_fields_of_the_config(monkeypatch):
    monkeypatch.setenv("HOME", "/someone")
    overrides = {"data.root": "~/prepared", "evaluation.excerpts": "~/list.json"}
    config = load_config("sets/set1.py", overrides)
    assert Path(config.data.root) == Path("/someone/prepared")
    assert Path(config.evaluation.excerpts) == Path("/someone/list.json")
