"""The train command: what it accepts, what it refuses, and that refusals come before data."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import run
from experiments.config.command_line import CommandFlags, run_command, split_overrides
from experiments.config.loading import known_files, load_config, save_config
from tests import ROOT


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """The (config, workdir) pairs that reach training; nothing is trained."""
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train_run", lambda config, workdir: calls.append((config, workdir)))
    monkeypatch.setattr(run, "keep_compiled", lambda: None)
    return calls


@pytest.mark.parametrize("spelling", [["--config=sets/set4.py"], ["--config", "sets/set4.py"]])
def test_both_spellings_and_the_default_directory(trained, spelling, capsys):
    assert run.main(spelling) == 0
    config, workdir = trained[0]
    assert workdir == Path("runs/set4")
    assert len(config.instruments) == 5
    out = capsys.readouterr().out
    assert "python -m experiments.evaluate --workdir=runs/set4" in out
    assert "experiments.separate" in out
    assert "experiments.report" in out


def test_fields_and_directory_from_the_command_line(trained):
    arguments = [
        "--config.loss.transcription=0.7",
        "--workdir=here",
        "--config=sets/set1.py",
        "--config.instruments",
        "piano,bass",
        "--config.data.root=a=b",
    ]
    assert run.main(arguments) == 0
    config, workdir = trained[0]
    assert workdir == Path("here")
    assert config.loss.transcription == 0.7
    assert config.instruments == ("piano", "bass")
    assert config.data.root == "a=b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is missing"),
        (["--config=sets/set9.py"], "no file 'sets/set9.py'"),
        (["--config=sets/set4.py", "--config.lossy.x=1"], "no field 'lossy.x'"),
        (["--config=sets/set4.py", "--config.loss.transcription=nan"], "finite number, got nan"),
        (["--config=sets/set4.py", "--config.loss.mask_inference=-1"], "at least 0, got -1.0"),
        (["--config=sets/set4.py", "--config.seed"], "--config.seed needs a value"),
        (["--config=sets/set4.py", "--config.seed", "--workdir=x"], "--config.seed needs a value"),
        (["--config=sets/set4.py", "--workdri=x"], "Did you mean: workdir"),
        (["--config=sets/set4.py", "extra"], "unexpected argument 'extra'"),
    ],
)
def test_a_bad_request_is_one_line_and_touches_nothing(
    trained, tmp_path, capsys, arguments, message
):
    assert run.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not trained
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_another_run_is_refused(trained, tmp_path, capsys):
    save_config(load_config("sets/set1.py"), tmp_path / "runs" / "old")
    assert run.main(["--config=sets/set2.py", "--workdir=runs/old"]) == 1
    assert "instruments: ['piano', 'guitar'] there" in capsys.readouterr().err
    assert not trained
    assert (
        run.main(["--config=sets/set1.py", "--workdir=runs/old", "--config.train.num_steps=3"]) == 0
    )


def test_a_file_in_the_place_of_the_directory_is_named(trained, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert run.main(["--config=sets/set1.py", "--workdir=taken"]) == 1
    assert "error: " in (error := capsys.readouterr().err)
    assert "taken" in error


def test_ctrl_c_says_how_to_go_on(trained, monkeypatch, capsys):
    def interrupted(config, workdir):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "train_run", interrupted)
    assert run.main(["--config=sets/set1.py"]) == 130
    assert "The same command continues" in capsys.readouterr().err


def test_debug_shows_the_traceback(trained):
    with pytest.raises(ValueError, match="at least 0"):
        run.main(["--config=sets/set1.py", "--config.loss.transcription=-1", "--debug"])


def test_help_names_every_flag_and_set(capsys):
    assert run.main(["--help"]) == 0
    out = capsys.readouterr().out
    flags, sets = list(run._flags()), known_files("sets")
    assert {"config", "workdir", "distributed"} <= set(flags) and "sets/demo.py" in sets
    for name in flags:
        assert re.search(rf"^  --(\[no\])?{name}\b(?!\.)", out, re.MULTILINE), name
    assert "--config.FIELD=VALUE" in out and all(name in out for name in sets)


def test_unexpected_errors_keep_their_traceback():
    def broken(flags):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_command(broken, CommandFlags("x", "y"), argv=[])


def test_overrides_keep_their_order():
    overrides, rest = split_overrides(["--config.a=1", "-config.b", "2", "c"])
    assert overrides == [("a", "1"), ("b", "2")]
    assert rest == ["c"]


def test_the_refusal_works_as_a_process_without_devices_or_tensorflow():
    code = (
        "import sys; from experiments.run import main; rc = main(sys.argv[1:]); "
        "import json; from jax._src.xla_bridge import backends_are_initialized as used; "
        "print(json.dumps([rc, used(), 'tensorflow' in sys.modules]))"
    )
    arguments = ["--config=sets/set4.py", "--config.batch_size=0"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == [1, False, False]
    assert done.stderr == "error: config: batch_size must be at least 1, got 0\n"


def test_a_run_refused_before_it_wrote_anything_leaves_no_directory(tmp_path, capsys):
    arguments = ["--config=sets/set1.py", f"--workdir={tmp_path / 'run'}"]
    assert run.main([*arguments, f"--config.data.root={tmp_path / 'nowhere'}"]) == 1
    assert "error: data.root" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_batch_that_three_devices_cannot_share_is_refused(tmp_path):
    """By the real command: devices are simulated before JAX starts."""
    command = [sys.executable, "-m", "experiments.run", "--config=sets/set1.py"]
    done = subprocess.run(
        [*command, f"--workdir={tmp_path / 'run'}", "--config.batch_size=4"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "by the 3 devices, got 4; try --config.batch_size=6" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    """A file where a folder is wanted: permissions would not stop a superuser."""
    (tmp_path / "file").write_text("kept")
    arguments = ["--config=sets/set1.py", f"--workdir={tmp_path / 'file' / 'run'}"]
    assert run.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(tmp_path / "file") in error
    assert error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("is_first", [True, False])
def test_of_several_processes_the_first_alone_tunes(tmp_path, monkeypatch, is_first):
    config, tuned = load_config("sets/set1.py"), []
    monkeypatch.setattr(run.distributed, "is_first", lambda: is_first)
    monkeypatch.setattr("experiments.train.start_step", lambda workdir: config.train.num_steps)
    monkeypatch.setattr(run, "keep_root", lambda *_: None)
    monkeypatch.setattr(run, "tune_thresholds", tuned.append)
    run.train_run(config, tmp_path)
    assert tuned == [tmp_path] * is_first
