"""Thresholds from validation excerpts into the checkpoints."""

import json

import pytest

from cerberus_jax.checkpoint import locate
from cerberus_jax.inference import Predictor
from experiments.training import tuning
from experiments.training.decoding_search import CANDIDATES
from experiments.training.tuning import tune_run
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare_data(tmp_path_factory.mktemp("prepared"))


def test_thresholds_are_stored_with_both_checkpoints(root, tmp_path):
    run = write_run(tmp_path, tiny_config(root), steps=(1, 2))
    tuned = tune_run(run)
    assert set(tuned) == {"best", "last"}
    for kind, decoding in tuned.items():
        assert set(decoding) == set(INSTRUMENTS)
        assert all(config.threshold in CANDIDATES["threshold"] for config in decoding.values())
        assert Predictor.load(run, step=kind).decoding == decoding
        assert json.loads((locate(run, kind) / "decoding.json").read_text())
    assert tune_run(run) == tuned


def test_one_step_is_tuned_once(root, tmp_path, monkeypatch):
    run = write_run(tmp_path, tiny_config(root))
    calls = []
    tune = tuning.tune_decoding
    monkeypatch.setattr(tuning, "tune_decoding", lambda *a, **k: calls.append(a) or tune(*a, **k))
    tuned = tune_run(run)
    assert len(calls) == 1
    assert tuned["best"] == tuned["last"]


def test_without_a_transcription_head_there_is_nothing_to_tune(root, tmp_path):
    run = write_run(tmp_path, tiny_config(root, **{"loss.transcription": 0.0}))
    assert tune_run(run) == {}
