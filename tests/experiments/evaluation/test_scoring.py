"""Scores of a whole item and their means: what is null, what is refused."""

import dataclasses
import json

import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline.planning.batch import Excerpt
from experiments.evaluation.note_scores import FALSE_NOTES, NOTE_METRICS
from experiments.evaluation.scoring import (
    METRICS,
    Estimate,
    Reference,
    score_item,
    summarise,
)

GRID = FrameGrid()
NUM_SAMPLES = 5 * 16000
NAMES = ("piano", "drums")


def notes_of(*rows):
    """Notes from (onset, offset, pitch, velocity)."""
    rows = np.array(rows, float).reshape(-1, 4)
    return Notes(rows[:, :2], rows[:, 2].astype(int), rows[:, 3].astype(int))


def item(seed=0):
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((2, NUM_SAMPLES)).astype(np.float32)
    notes = {
        "piano": notes_of((0.5, 1.0, 60, 90), (1.0, 2.0, 60, 90)),
        "drums": notes_of((0.1, 0.106, 36, 100)),
    }
    return Reference(sources, notes)


def test_a_perfect_estimate_is_perfect():
    reference = item()
    scores = score_item(
        Estimate(reference.sources, reference.notes), reference, instruments=NAMES, grid=GRID
    )
    assert set(scores["piano"]) == set(METRICS)
    assert scores["piano"]["si_sdr"] == 100
    assert scores["piano"]["onset_offset_f1"] == scores["piano"]["frame_f1"] == 1
    assert scores["drums"]["onset_f1"] == 1
    assert scores["drums"]["onset_offset_f1"] is None
    assert scores["piano"]["false_notes_per_minute"] is None
    json.dumps(scores, allow_nan=False)


def test_the_mixture_improves_nothing():
    reference = item()
    mixture = np.repeat(reference.sources.sum(0)[None], 2, 0)
    scores = score_item(Estimate(mixture, None), reference, instruments=NAMES, grid=GRID)
    for name in NAMES:
        assert scores[name]["si_sdr_improvement"] == 0
        assert abs(scores[name]["si_sdr"]) < 0.5
        assert scores[name]["onset_f1"] is None


def test_absent_heads_and_silent_references_are_null():
    reference = item()
    reference.sources[1] = 0
    estimate = Estimate(np.ones_like(reference.sources), None)
    scores = score_item(estimate, reference, instruments=NAMES, grid=GRID)
    assert scores["drums"] == dict.fromkeys(METRICS)
    assert scores["piano"]["si_sdr"] is not None
    scores = score_item(Estimate(None, reference.notes), reference, instruments=NAMES, grid=GRID)
    assert scores["piano"]["si_sdr"] is None
    assert scores["piano"]["frame_f1"] == 1


def test_what_has_no_labels_or_is_not_transcribed_has_no_note_scores():
    names = ("piano", "bass", "vocals")
    notes = notes_of((0.5, 1.0, 60, 90))
    sources = np.random.default_rng(0).standard_normal((3, NUM_SAMPLES)).astype(np.float32)
    excerpt = Excerpt("x", sources, (notes, Notes.empty(), Notes.empty()), (True, False, True))
    reference = Reference.of(excerpt, names)
    assert set(reference.notes) == {"piano"}
    estimate = Estimate(sources, dict.fromkeys(names, notes))
    scores = score_item(estimate, reference, instruments=names, grid=GRID)
    assert scores["piano"]["onset_f1"] == scores["piano"]["frame_f1"] == 1
    for name in ("bass", "vocals"):
        assert scores[name]["si_sdr"] == 100
        assert {scores[name][metric] for metric in (*NOTE_METRICS, FALSE_NOTES)} == {None}
    labelled = Reference.of(dataclasses.replace(excerpt, labelled=()), names)
    assert set(labelled.notes) == {"piano", "bass"}


def test_means_leave_nulls_out():
    blank = dict.fromkeys(METRICS)
    items = [
        {"piano": blank | {"si_sdr": 1.0, "onset_f1": 0.5}, "drums": blank},
        {"piano": blank | {"si_sdr": 2.0}, "drums": blank | {"si_sdr": 4.5}},
    ]
    summary = summarise(items, NAMES)
    assert summary["per_instrument"]["piano"]["si_sdr"] == 1.5
    assert summary["mean"]["si_sdr"] == 3.0
    assert summary["mean"]["onset_f1"] == 0.5
    assert summary["mean"]["frame_f1"] is None
    assert summary["num_items_per_instrument"]["piano"]["si_sdr"] == 2
    assert summary["num_items_per_instrument"]["drums"]["onset_f1"] == 0
    assert summarise([], NAMES)["mean"]["si_sdr"] is None
    low, high = summary["interval_95"]["per_instrument"]["piano"]["si_sdr"]
    assert 1.0 <= low < 1.5 < high <= 2.0
    assert summary["interval_95"]["per_instrument"]["drums"]["si_sdr"] is None
    json.dumps(summary, allow_nan=False)


def test_unusable_sources_are_refused():
    reference = item()
    short = Estimate(reference.sources[:, 1:], None)
    with pytest.raises(ValueError, match="estimate's sources must have the shape"):
        score_item(short, reference, instruments=NAMES, grid=GRID)
    broken = Estimate(reference.sources * np.float32(np.nan), None)
    with pytest.raises(ValueError, match="NaN"):
        score_item(broken, reference, instruments=NAMES, grid=GRID)
