"""Excerpts out, estimates in, and every reason to refuse a file."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_audio, write_audio
from data_pipeline.io.midi import Part, read_midi, write_midi
from data_pipeline.reading.excerpts import read_excerpts
from experiments.evaluation import excerpt_files
from experiments.evaluation.estimate_files import EstimateFiles
from experiments.evaluation.excerpt_files import export_excerpts
from experiments.training import data
from tests.tiny_run import INSTRUMENTS, RATE, prepare_data, tiny_config


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    return data.planner(tiny_config(prepare_data(tmp_path_factory.mktemp("data"))), "test")


@pytest.fixture(scope="module")
def exported(planner, tmp_path_factory):
    out = tmp_path_factory.mktemp("excerpts")
    export_excerpts(planner, out, count=2)
    return out


@pytest.fixture
def estimates(exported, tmp_path):
    return shutil.copytree(exported / "references", tmp_path / "estimates")


def read(folder, planner):
    return EstimateFiles.find(folder, INSTRUMENTS, RATE, count=2).read(
        list(read_excerpts(planner, 2))
    )


def test_what_is_written_is_the_excerpt(exported, planner):
    excerpt = next(read_excerpts(planner, 1))
    mixture, rate = read_audio(exported / "mixtures" / "0000.wav")
    assert rate == RATE
    np.testing.assert_array_equal(mixture[0], excerpt.sources.sum(0))
    heading = json.loads((exported / "excerpts.json").read_text())
    assert heading["ids"] == [excerpt.id for excerpt in read_excerpts(planner, 2)]
    assert heading["instruments"] == list(INSTRUMENTS)


def test_references_read_as_estimates_are_the_excerpts(estimates, planner):
    for excerpt, estimate in zip(read_excerpts(planner, 2), read(estimates, planner), strict=True):
        np.testing.assert_array_equal(estimate.sources, excerpt.sources)
        for slot, name in enumerate(INSTRUMENTS):
            np.testing.assert_array_equal(
                estimate.notes[name].pitches, excerpt.cut_notes[slot].pitches
            )
            np.testing.assert_allclose(
                estimate.notes[name].intervals, excerpt.cut_notes[slot].intervals, atol=1e-4
            )


def test_sources_without_labels_have_no_track(planner, tmp_path, monkeypatch):
    excerpt = dataclasses.replace(next(read_excerpts(planner, 1)), labelled=(True, False))
    monkeypatch.setattr(excerpt_files, "read_excerpts", lambda *_: iter([excerpt]))
    export_excerpts(planner, tmp_path, count=1)
    (part,) = read_midi(tmp_path / "references" / "0000" / "transcription.mid")
    assert part.name == "piano"


def test_stereo_is_averaged_and_parts_are_told_by_program(estimates, planner):
    folder = estimates / "0000"
    excerpt = next(read_excerpts(planner, 1))
    stereo = np.stack([2 * excerpt.sources[0], 0 * excerpt.sources[0]])
    write_audio(folder / "piano.wav", stereo, sample_rate_hz=RATE, subtype="FLOAT")
    note = Notes(np.array([[0.1, 0.2]]), np.array([60]), np.array([90]))
    write_midi(folder / "transcription.mid", [Part("Grand", 3, False, note)])
    estimate = read(estimates, planner)[0]
    np.testing.assert_array_equal(estimate.sources[0], excerpt.sources[0])
    assert (len(estimate.notes["piano"]), len(estimate.notes["drums"])) == (1, 0)


def test_excerpts_are_not_mixed_with_others(exported, planner):
    with pytest.raises(ValueError, match=r"--export_excerpts=.*: an empty or new folder expected"):
        export_excerpts(planner, exported, count=1)


@pytest.mark.parametrize(
    ("rate", "num_samples", "message"),
    [
        (44100, 16000, "0000/drums.wav: 16000 Hz expected, .* got 44100 Hz"),
        (RATE, 15839, "0000/drums.wav: 16000 samples expected, .* got 15839"),
    ],
)
def test_another_rate_or_length(estimates, planner, rate, num_samples, message):
    noise = np.zeros(num_samples, np.float32)
    write_audio(estimates / "0000" / "drums.wav", noise, sample_rate_hz=rate)
    with pytest.raises(ValueError, match=message):
        read(estimates, planner)


def test_folders_of_no_excerpt_are_named(estimates, planner):
    (estimates / "logs").mkdir()
    assert len(read(estimates, planner)) == 2  # a folder without such files is none of ours
    shutil.copytree(estimates / "0000", estimates / "0002")
    with pytest.raises(
        ValueError, match=r"are 2 excerpts, 0000 to 0001, and .* others: 0002; take"
    ):
        read(estimates, planner)


def test_excerpts_without_a_folder_are_named(estimates):
    message = "are 8 excerpts, 0000 to 0007, .* for 0002, 0003, 0004, 0005, 0006, and 1 more"
    with pytest.raises(FileNotFoundError, match=message):
        EstimateFiles.find(estimates, INSTRUMENTS, RATE, count=8)


def test_a_folder_without_estimates(tmp_path, planner):
    with pytest.raises(FileNotFoundError, match=r"0000 holds neither transcription.mid nor piano"):
        read(tmp_path, planner)
