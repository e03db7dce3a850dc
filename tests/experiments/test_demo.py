"""The demo's driver: its stages in order, what it repeats, how it fails; the stages do not run."""

import os

import pytest

from experiments import demo


@pytest.fixture
def songs(tmp_path, monkeypatch):
    """A folder that looks like the embedded MiniSlakh, with two held-out songs."""
    for track in ("Track00902", "Track00901"):
        folder = tmp_path / "minislakh" / "tree" / "test" / track
        folder.mkdir(parents=True)
        (folder / "mix.flac").write_text(f"song {int(track[-3:])}")
    prepared = tmp_path / "minislakh" / "prepared"
    monkeypatch.setattr("experiments.training.embedded.root", lambda config: prepared)
    return tmp_path / "minislakh" / "tree" / "test"


@pytest.fixture
def ran(monkeypatch):
    """The commands the driver starts, which are not run."""
    commands = []
    monkeypatch.setattr(demo, "_run", lambda name, arguments: commands.append(arguments))
    return commands


def test_the_stages_are_the_commands_of_the_readme(songs, ran, tmp_path, capsys):
    workdir = tmp_path / "a run"
    assert demo.main([f"--workdir={workdir}", "--config.train.num_steps=7"]) == 0
    assert [command[0] for command in ran] == [
        "experiments.run",
        "experiments.evaluate",
        "experiments.separate",
        "experiments.report",
    ]
    assert all(f"--workdir={workdir}" in command for command in ran)
    assert "--config.train.num_steps=7" in ran[0]
    assert ran[2][-1] == str(workdir / "Track00901.flac")
    assert (workdir / "Track00901.flac").read_bytes() == b"song 901"
    printed = capsys.readouterr().out
    assert "Done in" in printed
    assert str(workdir / "report" / "index.html") in printed


def test_a_finished_stage_is_repeated_only_after_more_training(songs, ran, tmp_path):
    checkpoint = tmp_path / "checkpoints" / "7"
    checkpoint.mkdir(parents=True)
    results = tmp_path / "results.json"
    results.touch()
    midi = tmp_path / "separated" / "Track00901" / "transcription.mid"
    midi.parent.mkdir(parents=True)
    midi.touch()
    assert demo.main([f"--workdir={tmp_path}"]) == 0
    assert [command[0] for command in ran] == ["experiments.run", "experiments.report"]

    ran.clear()
    later = results.stat().st_mtime + 10
    os.utime(checkpoint, (later, later))
    assert demo.main([f"--workdir={tmp_path}"]) == 0
    assert len(ran) == 4


def test_other_data_are_refused(ran, tmp_path, capsys):
    assert demo.main([f"--workdir={tmp_path}", "--config.data.root=elsewhere"]) == 1
    assert "data.root: the songs of the embedded MiniSlakh" in capsys.readouterr().err
    assert not ran


def test_without_songs_it_says_where_it_looked(songs, ran, tmp_path, capsys):
    for mix in songs.glob("*/mix.flac"):
        mix.unlink()
    assert demo.main([f"--workdir={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert "no Track*/mix.flac" in error
    assert str(songs) in error
    assert f"delete {songs.parent.parent}, and they are rendered anew" in error
    assert not ran


def test_a_failing_stage_ends_the_demo(songs, tmp_path, monkeypatch, capsys):
    failing = [demo.Stage("training", "Training", ["json.tool", str(tmp_path / "missing")])]
    monkeypatch.setattr(demo, "_stages", lambda *args, **kwargs: failing)
    assert demo.main([f"--workdir={tmp_path}"]) == 1
    captured = capsys.readouterr()
    assert "training ended with exit code" in captured.err
    assert "$ python -m json.tool" in captured.out
    assert "Done in" not in captured.out


def test_a_wrong_field_is_found_before_anything_runs(songs, ran, tmp_path, capsys):
    assert demo.main([f"--workdir={tmp_path}", "--config.train.steps=7"]) == 1
    assert "train.steps" in capsys.readouterr().err
    assert not ran


class InterruptedStage:
    """A process that is still saving when Ctrl-C comes, and ends as interrupted commands do."""

    def __init__(self, arguments):
        self.waits = iter([KeyboardInterrupt, 130])

    def wait(self):
        result = next(self.waits)
        if result is KeyboardInterrupt:
            raise result
        return result


def test_ctrl_c_waits_for_the_stage_and_says_how_to_go_on(songs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo.subprocess, "Popen", InterruptedStage)
    assert demo.main([f"--workdir={tmp_path}"]) == 130
    assert "The same command continues the demo" in capsys.readouterr().err
