"""Thresholds from validation excerpts into the checkpoints."""

import dataclasses
import json

import pytest

from cerberus_jax.checkpoint import locate
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.inference import Predictor
from data_pipeline.reading.excerpts import read_excerpts
from experiments import run
from experiments.training import data, tuning, validation_scores
from experiments.training.decoding_search import CANDIDATES
from experiments.training.tuning import tune_run
from tests.tiny_run import INSTRUMENTS, RATE, prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare_data(tmp_path_factory.mktemp("prepared"))


def test_thresholds_are_stored_with_both_checkpoints(root, tmp_path):
    config = tiny_config(root, **{"decoding.threshold": 0.95})  # no candidate
    workdir = write_run(tmp_path, config, steps=(1, 2), with_notes=True)
    untuned = Predictor.load(workdir).decoding
    tuned = tune_run(workdir)
    assert set(tuned) == {"best", "last"}
    for kind, decoding in tuned.items():
        assert set(decoding) == set(INSTRUMENTS)
        assert all(config.threshold in CANDIDATES["threshold"] for config in decoding.values())
        assert all(config != untuned[name] for name, config in decoding.items())
        assert Predictor.load(workdir, step=kind).decoding == decoding
        stored = json.loads((locate(workdir, kind) / "decoding.json").read_text())
        assert stored == {name: dataclasses.asdict(config) for name, config in decoding.items()}
    assert tune_run(workdir) == tuned


def test_shorter_songs_are_tuned_on_excerpts_of_the_length_of_training(root, tmp_path, caplog):
    """The songs last 6 s."""
    config = tiny_config(root, **{"evaluation.excerpt_seconds": 10.0})
    assert data.tuning_planner(config).config.num_samples == RATE
    assert "evaluation.excerpt_seconds=10" in caplog.text
    assert "of excerpts of 1 s" in caplog.text
    assert set(tune_run(write_run(tmp_path, config))) == {"best", "last"}
    caplog.clear()
    assert data.tuning_planner(tiny_config(root)).config.num_samples == 2 * RATE
    assert not caplog.text


@pytest.mark.parametrize("seconds", [10.0, 20.0])
def test_a_run_that_could_not_be_tuned_is_refused_before_its_first_step(
    root, tmp_path, monkeypatch, seconds
):
    monkeypatch.setattr(data, "validation_batches", lambda *_, **__: [])
    monkeypatch.setattr("experiments.train.train", lambda *_, **__: pytest.fail("trained"))
    lengths = {"excerpt_seconds": 10.0, "evaluation.excerpt_seconds": seconds}
    with pytest.raises(ValueError, match=r"validation: .* shorter than excerpt_seconds=10"):
        run.train_run(tiny_config(root, **lengths), tmp_path)


def test_one_step_is_tuned_once(root, tmp_path, monkeypatch):
    workdir = write_run(tmp_path, tiny_config(root))
    calls = []
    tune = tuning.tune_decoding
    monkeypatch.setattr(tuning, "tune_decoding", lambda *a, **k: calls.append(a) or tune(*a, **k))
    tuned = tune_run(workdir)
    assert len(calls) == 1
    assert tuned["best"] == tuned["last"]


def test_rolls_of_onsets_take_part(root, tmp_path):
    workdir = write_run(tmp_path, tiny_config(root, **{"loss.onsets": 0.5}))
    decoding = tune_run(workdir)["best"]
    assert Predictor.load(workdir).decoding == decoding
    config = tiny_config(root)
    planner = data.planner(config, "validation", excerpt_seconds=config.evaluation.excerpt_seconds)
    tasks = tuning.decoding_tasks(Predictor.load(workdir), planner, count=2)
    assert all(task.has_onset_rolls for task in tasks.values())
    assert {name: task.with_offsets for name, task in tasks.items()} == {
        "piano": True,
        "drums": False,
    }


def test_without_a_transcription_head_there_is_nothing_to_tune(root, tmp_path):
    workdir = write_run(tmp_path, tiny_config(root, **{"loss.transcription": 0.0}))
    assert tune_run(workdir) == {}


@pytest.fixture
def tuned_alone(root, tmp_path):
    """A predictor, the planner of its validation excerpts, and how many there are."""
    config = tiny_config(root)
    predictor = Predictor.load(write_run(tmp_path, config))
    planner = data.planner(config, "validation", excerpt_seconds=config.evaluation.excerpt_seconds)
    return predictor, planner, config.data.num_validation_excerpts


def test_excerpts_without_labels_are_left_out(tuned_alone, monkeypatch):
    predictor, planner, count = tuned_alone
    excerpts = list(read_excerpts(planner, count))
    excerpts[1] = dataclasses.replace(excerpts[1], labelled=(True, False))
    monkeypatch.setattr(validation_scores, "read_excerpts", lambda *_: iter(excerpts))
    tasks = tuning.decoding_tasks(predictor, planner, count=count)
    assert {name: task.num_items for name, task in tasks.items()} == {
        "piano": count,
        "drums": count - 1,
    }


def test_what_is_not_transcribed_is_not_tuned(tuned_alone):
    """A network with one roll, that of the second instrument."""
    predictor, planner, count = tuned_alone
    model = predictor.model.clone(transcribed=("drums",))
    drums = dataclasses.replace(Predictor.untrained(model), decoding={"drums": DecodingConfig()})
    tasks = tuning.decoding_tasks(drums, planner, count=count)
    assert {name: task.num_items for name, task in tasks.items()} == {"drums": count}
    assert set(tuning.tune_decoding(drums, planner, count=count)) == {"drums"}
