"""Scores of notes: tolerances, frames, false notes, and mir_eval's own examples."""

import json

import mir_eval
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from experiments.evaluation.note_scores import activity, score_notes

GRID = FrameGrid()
NUM_SAMPLES = 5 * 16000


def notes_of(*rows):
    """Notes from (onset, offset, pitch, velocity)."""
    rows = np.array(rows, float).reshape(-1, 4)
    return Notes(rows[:, :2], rows[:, 2].astype(int), rows[:, 3].astype(int))


def scored(estimate, reference, **options):
    options = {"num_samples": NUM_SAMPLES} | options
    return score_notes(estimate, reference, grid=GRID, **options)


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

    def f1_of(onset, offset, pitch=60):
        scores = scored(notes_of((onset, offset, pitch, 90)), reference)
        return scores["onset_f1"], scores["onset_offset_f1"]

    assert f1_of(1.049, 2.199) == (1, 1)
    assert f1_of(1.051, 2.0) == (0, 0)
    assert f1_of(1.0, 2.21) == (1, 0)
    assert f1_of(1.0, 2.0, 61) == (0, 0)
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

    def keys_held(notes):
        rate = GRID.frame_rate_hz
        held = set()
        for (onset, offset), pitch in zip(notes.intervals, notes.pitches, strict=True):
            first = round(onset * rate)
            end = min(max(first + 1, round(offset * rate)), GRID.num_frames(NUM_SAMPLES))
            held |= {(frame, int(pitch)) for frame in range(first, end)}
        return held

    estimate, reference = random_notes(), random_notes()
    estimated, true = keys_held(estimate), keys_held(reference)
    scores = scored(estimate, reference)
    assert scores["frame_precision"] == pytest.approx(len(estimated & true) / len(estimated))
    assert scores["frame_recall"] == pytest.approx(len(estimated & true) / len(true))
    assert scores["frame_f1"] == pytest.approx(
        2 * len(estimated & true) / (len(estimated) + len(true))
    )


def test_activity_is_held_through_repeats_and_clipped():
    notes = notes_of((0.0, 0.016, 60, 90), (0.016, 99.0, 60, 90), (50.0, 51.0, 61, 90))
    held = activity(notes, GRID, 10)
    assert held[:, 60 - 21].all()
    assert held.sum() == 10
    assert not activity(notes_of((0, 1, 5, 90), (0, 1, 120, 90)), GRID, 10).any()


def test_mir_eval_fixtures_give_their_stored_scores(samples):
    folder = samples / "mir_eval_transcription"
    stored = sorted(folder.glob("output*.json"))
    assert len(stored) == 10
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
        end = max(part.offsets.max() for part in notes)
        scores = scored(*notes, num_samples=int(16000 * end) + 1)
        expected = json.loads(file.read_text())
        for ours, theirs in (
            ("onset_precision", "Precision_no_offset"),
            ("onset_recall", "Recall_no_offset"),
            ("onset_f1", "F-measure_no_offset"),
            ("onset_offset_f1", "F-measure"),
        ):
            assert scores[ours] == pytest.approx(expected[theirs], abs=1e-9), (file.name, ours)
