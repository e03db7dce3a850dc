"""The files of one excerpt: sources that sum to the mixture, the notes, a picture."""

import subprocess
import sys

import numpy as np
import pytest

from data_pipeline.inspect import inspect, main
from data_pipeline.io.audio import read_audio
from data_pipeline.io.midi import read_midi
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.excerpts import read_excerpts
from tests import ROOT
from tests.tiny_slakh import plan_config, tiny_catalogue

INSTRUMENTS = ("piano", "drums")


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    catalogue = tiny_catalogue(tmp_path_factory.mktemp("inspect"))
    config = plan_config(instruments=INSTRUMENTS, fixed=True, split="validation", batch_size=2)
    return Planner(catalogue, config)


def test_what_is_written(planner, tmp_path):
    inspect(planner, 3, tmp_path / "a/b")
    *_, excerpt = read_excerpts(planner, 4)
    names = {"mixture.wav", "piano.wav", "drums.wav", "notes.mid", "excerpt.png"}
    assert {file.name for file in (tmp_path / "a/b").iterdir()} == names
    waves = {name: read_audio(tmp_path / f"a/b/{name}.wav") for name in ("mixture", *INSTRUMENTS)}
    assert all(rate == 16000 for _, rate in waves.values())
    total = sum(waves[name][0] for name in INSTRUMENTS)
    np.testing.assert_allclose(waves["mixture"][0], total, atol=2e-4)
    for name, source in zip(INSTRUMENTS, excerpt.sources, strict=True):
        np.testing.assert_allclose(waves[name][0][0], source, atol=1e-4)
    parts = read_midi(tmp_path / "a/b/notes.mid")
    assert [(part.name, part.is_drum) for part in parts] == [("piano", False), ("drums", True)]
    for part, notes in zip(parts, excerpt.cut_notes, strict=True):
        np.testing.assert_array_equal(part.notes.pitches, notes.pitches)
        np.testing.assert_allclose(part.notes.onsets, notes.onsets, atol=1e-3)


def test_a_negative_number(planner, tmp_path):
    with pytest.raises(ValueError, match="--index must not be negative"):
        inspect(planner, -1, tmp_path / "x")


def test_command_line(planner, tmp_path):
    ExcerptList.of(planner, 2).save(tmp_path / "list.json")
    command = [sys.executable, "-m", "data_pipeline.inspect", f"--data={planner.catalogue.root}"]
    command += [f"--excerpts={tmp_path / 'list.json'}", f"--out={tmp_path / 'out'}"]
    run = subprocess.run([*command, "--index=1"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert planner.batch(0).ids[1] in run.stdout
    assert (tmp_path / "out/excerpt.png").exists()
    run = subprocess.run([*command, "--index=2"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "k must lie in 0..1, got 2" in run.stderr


@pytest.mark.parametrize("flag", ["--split=test", "--instruments=piano,drums", "--seed=0"])
def test_a_list_says_by_itself_what_its_excerpts_are(planner, tmp_path, flag, capsys):
    ExcerptList.of(planner, 1).save(tmp_path / "list.json")
    argv = [f"--data={planner.catalogue.root}", f"--excerpts={tmp_path / 'list.json'}", flag]
    assert main([*argv, f"--out={tmp_path / 'out'}"]) == 1
    name = flag.split("=")[0]
    assert f"error: {name} does not go with --excerpts={tmp_path}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
