"""Networks that only separate, and a command that is told to end."""

import json
import os
import re
import signal
import subprocess
import sys

import mido
import numpy as np
import pytest

from cerberus_jax.inference import Predictor
from data_pipeline.io.audio import read_audio, write_audio
from data_pipeline.io.midi import Part, write_midi
from experiments.separate import main, separate
from experiments.songs.folders import RECORD
from experiments.songs.page import WITHOUT_NOTES
from tests import ROOT
from tests.browser import chromium, console_errors
from tests.experiments.separate.test_separate import NOTES, HalfAndHalf, names_in, song
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run
from tests.waiting import MAX_SECONDS, wait_for


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_data(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module", params=[0.0, 0.5], ids=["MI", "DC+MI"])
def masks_only(request, data, tmp_path_factory):
    weights = {"mask_inference": 0.5, "transcription": 0.0, "deep_clustering": request.param}
    config = tiny_config(data, **{f"loss.{name}": value for name, value in weights.items()})
    return write_run(tmp_path_factory.mktemp("run"), config)


def test_a_network_without_transcription_writes_stems_and_a_page(masks_only, tmp_path, capsys):
    path, out = song(tmp_path / "a.wav", rate=16000), tmp_path / "out"
    assert main([f"--workdir={masks_only}", f"--out={out}", "--subtype=FLOAT", str(path)]) == 0
    assert "this network does not transcribe" in capsys.readouterr().out
    assert names_in(out / "a") == [RECORD, "drums.wav", "index.html", "page", "piano.wav"]
    assert names_in(out / "a" / "page") == ["mixture.flac"]
    waveform, _ = read_audio(path)
    predictor = Predictor.load(masks_only, exact=True)
    whole, _ = predictor.predict_batch(waveform.mean(0, keepdims=True))
    assert main([f"--workdir={masks_only}", f"--out={out}", "--subtype=FLOAT", "--exact",
                 "--overwrite", str(path)]) == 0  # fmt: skip
    for slot, name in enumerate(INSTRUMENTS):
        stem, _ = read_audio(out / "a" / f"{name}.wav")
        np.testing.assert_allclose(stem.mean(0), whole[0, slot], atol=1e-5)


def test_earlier_notes_do_not_stay_beside_new_stems(masks_only, tmp_path):
    path, out = song(tmp_path / "a.wav", rate=16000), tmp_path / "out"
    separate([path], predictor=HalfAndHalf(), out=out)
    assert "notes.csv" in names_in(out / "a")
    separate([path], predictor=Predictor.load(masks_only), out=out, overwrite=True)
    assert not {"notes.csv", "transcription.mid"} & set(names_in(out / "a"))


def test_its_page_offers_no_notes(masks_only, tmp_path):
    path = song(tmp_path / "a.wav", rate=16000)
    (folder,) = separate([path], predictor=Predictor.load(masks_only), out=tmp_path / "out")
    assert WITHOUT_NOTES in (folder / "index.html").read_text()
    with chromium() as browser:
        browser.get((folder / "index.html").as_uri())
        wait_for(
            lambda: browser.execute_script("return listenings[0].player.leader.readyState") == 4
        )
        shown = "return document.querySelector(arguments[0]).checkVisibility()"
        for hidden in ("header nav", ".swatch.notes", ".row .count"):
            assert not browser.execute_script(shown, hidden), hidden
        assert browser.execute_script(shown, '[data-listen="stems"]')
        assert not browser.find_elements("css selector", '[data-listen="notes"]')
        assert not console_errors(browser)


def test_true_notes_are_told_by_the_name_of_a_track_and_missing_ones_are_named(tmp_path, capsys):
    refs = tmp_path / "refs"
    refs.mkdir()
    write_midi(refs / "a.mid", [Part("Piano", 73, False, NOTES["piano"])])
    songs = [song(tmp_path / "a.wav"), song(tmp_path / "b.wav")]
    first, second = separate(songs, predictor=HalfAndHalf(), out=tmp_path / "out", references=refs)
    assert f"no true notes to show: there is no {refs / 'b.mid'}" in capsys.readouterr().out
    counts = {}
    for folder in (first, second):
        text = (folder / "index.html").read_text()
        rows = json.loads(re.search(r'class="listening">(.*?)</script>', text)[1])["rows"]
        counts[folder.name] = [len(row.get("reference", ())) for row in rows]
    assert counts == {"a": [0, 2, 0], "b": [0, 0, 0]}


def test_true_notes_of_nobody_are_named_and_left_out(tmp_path, capsys):
    refs = tmp_path / "refs"
    refs.mkdir()
    file = mido.MidiFile()
    for channel, name in enumerate(("Drum Kit", "Track 2")):
        hit = [mido.Message(kind, channel=channel, time=240) for kind in ("note_on", "note_off")]
        file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=name), *hit]))
    file.save(refs / "a.mid")
    (folder,) = separate(
        [song(tmp_path / "a.wav")], predictor=HalfAndHalf(), out=tmp_path / "out", references=refs
    )
    assert f"{refs / 'a.mid'}: left out 'Track 2'" in capsys.readouterr().out
    text = (folder / "index.html").read_text()
    rows = json.loads(re.search(r'class="listening">(.*?)</script>', text)[1])["rows"]
    assert [len(row.get("reference", ())) for row in rows] == [0, 0, 1]


def test_a_command_that_is_told_to_end_leaves_nothing_half_written(data, tmp_path):
    run, out, path = write_run(tmp_path / "run", tiny_config(data)), tmp_path / "out", "long.wav"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 600 * 16000).astype(np.float32)
    write_audio(tmp_path / path, noise, sample_rate_hz=16000)
    command = [sys.executable, "-m", "experiments.separate", f"--workdir={run}", f"--out={out}"]
    process = subprocess.Popen(
        [*command, str(tmp_path / path)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    begun = ".separating.*/*/piano.wav"
    wait_for(lambda: process.poll() is not None or list(out.glob(begun)))
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=MAX_SECONDS)
    assert process.returncode == 130, errors
    assert "Stopped. Songs already separated are whole." in errors
    assert names_in(out) == []
