"""Songs in which others play, and the scores of the stem that holds them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cerberus_jax.metrics import si_sdr
from data_pipeline.instruments import instrument_of
from data_pipeline.minislakh.dice import song_seed
from data_pipeline.minislakh.soundfonts import found_soundfonts
from data_pipeline.minislakh.wide.composer import compose_wide, instrument_of_part
from data_pipeline.minislakh.wide.palettes import SEEN, UNSEEN, VALIDATION
from experiments.studies import rest, tracks
from tests.tiny_run import tiny_config, write_run

INSTRUMENTS = ("piano", "drums", "rest")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    root = tmp_path_factory.mktemp("rest")
    return write_run(root / "run", tiny_config(root, instruments=INSTRUMENTS))


def test_no_song_for_training_has_these_programs():
    assert not set(rest.SOUNDS.values()) & set(SEEN.programs["rest"])
    of_test = {program for name, program in rest.SOUNDS.items() if name != "voice"}
    assert of_test <= set(UNSEEN.programs["rest"])
    assert rest.SOUNDS["voice"] in VALIDATION.programs["rest"]
    classes = {name: instrument_of(program, is_drum=False) for name, program in rest.SOUNDS.items()}
    assert classes == {"flute": "pipe", "organ": "organ", "choir": "choir", "voice": "choir"}


def test_every_song_has_a_rest_and_others():
    for number in range(3):
        programs = [part.program for part in rest.composed_parts(number, 73)]
        assert 73 in programs and len(set(programs)) > 1
    assert rest.composed_parts(0, 73)[0].notes != rest.composed_parts(1, 73)[0].notes


def test_songs_in_which_the_rest_or_all_others_are_silent_are_passed_over(monkeypatch):
    whole = compose_wide(song_seed(0, "rest", 0), seconds=4.0, rest=1.0)
    of_rest = [part for part in whole.parts if instrument_of_part(part) == "rest"]
    others = [part for part in whole.parts if part not in of_rest]
    assert of_rest and others
    songs = iter([of_rest, others, whole.parts])
    monkeypatch.setattr(rest, "compose_wide", lambda *_, **__: replace(whole, parts=next(songs)))
    names = [part.name for part in rest.composed_parts(0, 73)]
    assert names == [part.name for part in whole.parts]


def test_the_rest_of_each_sound_is_scored(workdir, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rest, "SOUNDS", {"flute": 73})
    monkeypatch.setattr(rest, "SONG_SECONDS", 4.0)
    (soundfont,) = found_soundfonts(())
    out = tmp_path / "out.json"
    options = [f"--soundfont={soundfont}", "--songs=2", f"--out={out}"]
    assert rest.main([f"--networks={workdir}", *options]) == 0
    figures = json.loads(out.read_text())[str(workdir)]["flute"]
    songs = rest.songs_with(73, INSTRUMENTS, soundfont=soundfont, count=2, rate_hz=16000)
    predictor = tracks.load_network(str(workdir))
    expected = []
    for song in songs:
        sources = song.reference.sources
        found = predictor.predict(song.mixture, 16000).sources[:, 0]
        gains = si_sdr(found, sources) - si_sdr(np.broadcast_to(song.mixture, found.shape), sources)
        sounding = [slot for slot in (0, 1) if np.any(sources[slot])]
        expected.append([float(gains[2]), float(np.mean([gains[slot] for slot in sounding]))])
    assert len(figures) == 2
    np.testing.assert_allclose(figures, expected, atol=1e-3)
    means = np.mean(figures, 0)
    row = f"| {workdir} | flute | 2 | {means[0]:.1f} | {means[1]:.1f} |"
    assert row in capsys.readouterr().out


def test_a_network_without_a_rest_is_refused(workdir, tmp_path, capsys):
    write_run(tmp_path / "run", tiny_config(tmp_path))
    assert rest.main([f"--networks={tmp_path}/run", "--soundfont=x.sf2"]) == 1
    message = "networks with the instrument rest expected, got some of piano, drums"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["networks", "soundfont"])
def test_what_is_missing_is_said(workdir, flag, capsys):
    given = {"networks": str(workdir), "soundfont": "x.sf2"}
    assert rest.main([f"--{name}={value}" for name, value in given.items() if name != flag]) == 1
    assert f"--{flag} is missing, e.g. --{flag}=" in capsys.readouterr().err
