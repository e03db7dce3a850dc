import json

import mir_eval
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from experiments.evaluation.scoring import (
    METRICS,
    Estimate,
    Reference,
    activity,
    score_item,
    score_notes,
    summarise,
)

GRID = FrameGrid()
NUM_SAMPLES = 5 * 16000
NAMES = ("piano", "drums")


def notes_of(*rows):
    """Notes from (onset, offset, pitch, velocity)."""
    rows = np.array(rows, float).reshape(-1, 4)
    return Notes(rows[:, :2], rows[:, 2].astype(int), rows[:, 3].astype(int))


def scored(estimate, reference, **options):
    return score_notes(estimate, reference, grid=GRID, num_samples=NUM_SAMPLES, **options)


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


def test_references_without_notes_count_false_notes():
    two = notes_of((0, 1, 60, 90), (1, 2, 61, 90))
    scores = scored(two, Notes.empty())
    assert scores.pop("false_notes_per_minute") == pytest.approx(2 * 60 / 5)
    assert set(scores.values()) == {None}
    assert scored(Notes.empty(), Notes.empty())["false_notes_per_minute"] == 0
    missed = scored(Notes.empty(), two)
    assert missed["onset_f1"] == missed["frame_recall"] == 0
    assert missed["false_notes_per_minute"] is None


def test_tolerances():
    reference = notes_of((1.0, 2.0, 60, 90))

    def found(onset, offset, pitch=60):
        scores = scored(notes_of((onset, offset, pitch, 90)), reference)
        return scores["onset_f1"], scores["onset_offset_f1"]

    assert found(1.049, 2.199) == (1, 1)
    assert found(1.051, 2.0) == (0, 0)
    assert found(1.0, 2.21) == (1, 0)
    assert found(1.0, 2.0, 61) == (0, 0)
    instant = notes_of((1.0, 1.0, 60, 90))
    assert scored(instant, instant)["onset_offset_f1"] == 1


def test_quiet_reference_notes_count_for_notes_but_not_for_frames():
    reference = notes_of((0.0, 1.0, 60, 90), (2.0, 3.0, 62, 30))
    loud_only = scored(reference.select([0]), reference)
    assert loud_only["frame_recall"] == 1
    assert loud_only["onset_recall"] == 0.5
    both = scored(reference, reference)
    assert both["frame_precision"] == pytest.approx(0.5, abs=0.01)
    only_quiet = scored(reference, reference.select([1]))
    assert only_quiet["frame_f1"] is None
    assert only_quiet["onset_f1"] is not None


def test_frame_scores_against_counting():
    rng = np.random.default_rng(0)

    def random_notes():
        onsets = rng.uniform(0, 4.5, 20)
        ends = onsets + rng.uniform(0, 1.5, 20)
        return Notes(np.stack([onsets, ends], 1), rng.integers(50, 60, 20), np.full(20, 80))

    def cells(notes):
        rate = GRID.frame_rate_hz
        held = set()
        for (onset, offset), pitch in zip(notes.intervals, notes.pitches, strict=True):
            first = round(onset * rate)
            end = min(max(first + 1, round(offset * rate)), GRID.num_frames(NUM_SAMPLES))
            held |= {(frame, int(pitch)) for frame in range(first, end)}
        return held

    estimate, reference = random_notes(), random_notes()
    found, wanted = cells(estimate), cells(reference)
    scores = scored(estimate, reference)
    assert scores["frame_precision"] == pytest.approx(len(found & wanted) / len(found))
    assert scores["frame_recall"] == pytest.approx(len(found & wanted) / len(wanted))
    assert scores["frame_f1"] == pytest.approx(2 * len(found & wanted) / (len(found) + len(wanted)))


def test_activity_is_held_through_repeats_and_clipped():
    notes = notes_of((0.0, 0.016, 60, 90), (0.016, 99.0, 60, 90), (50.0, 51.0, 61, 90))
    held = activity(notes, GRID, 10)
    assert held[:, 60 - 21].all()
    assert held.sum() == 10
    assert not activity(notes_of((0, 1, 5, 90), (0, 1, 120, 90)), GRID, 10).any()


def test_mir_eval_fixtures_give_their_stored_scores(samples):
    folder = samples / "mir_eval_transcription"
    stored = sorted(folder.glob("output*.json"))
    if not stored:
        pytest.skip(f"no stored scores in {folder.name}")
    for file in stored:
        number = file.stem.removeprefix("output")
        pair = [
            mir_eval.io.load_valued_intervals(folder / f"{kind}{number}.txt")
            for kind in ("est", "ref")
        ]
        notes = [
            Notes(
                intervals, np.rint(mir_eval.util.hz_to_midi(hz)).astype(int), np.full(len(hz), 90)
            )
            for intervals, hz in pair
        ]
        scores = scored(*notes)
        expected = json.loads(file.read_text())
        for ours, theirs in (
            ("onset_precision", "Precision_no_offset"),
            ("onset_recall", "Recall_no_offset"),
            ("onset_f1", "F-measure_no_offset"),
            ("onset_offset_f1", "F-measure"),
        ):
            assert scores[ours] == pytest.approx(expected[theirs], abs=1e-9), (file.name, ours)


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
