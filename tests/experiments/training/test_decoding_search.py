"""The fast scores are those of the evaluator; the search finds what it should."""

import dataclasses

import numpy as np
import pytest

from cerberus_jax.decoding import DecodingConfig, decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from experiments.evaluation.scoring import score_notes
from experiments.training.decoding_search import CANDIDATES, DecodingTask, search

GRID = FrameGrid(hop=512)
NUM_SAMPLES = 5 * 16000
NUM_FRAMES = GRID.num_frames(NUM_SAMPLES)


def random_item(rng, num_notes=40):
    """Notes with random velocities and a blurred, noisy, late roll of them."""
    onsets = rng.uniform(0, 4.5, num_notes)
    intervals = np.stack([onsets, np.minimum(onsets + rng.uniform(0, 0.6, num_notes), 5)], 1)
    notes = Notes(intervals, rng.integers(50, 58, num_notes), rng.integers(10, 100, num_notes))
    roll = np.zeros((NUM_FRAMES, 88), np.float32)
    for (start, end), pitch in zip(notes.intervals, notes.pitches, strict=True):
        first, last = (round(t * GRID.frame_rate_hz) for t in (start, end))
        roll[first + 1 : last + 2, pitch - 21] = rng.uniform(0.2, 1)
    roll[:, :45] += 0.35 * rng.random((NUM_FRAMES, 45)).astype(np.float32)
    return roll.clip(0, 1), notes


@pytest.fixture(scope="module")
def items():
    rng = np.random.default_rng(0)
    return [random_item(rng) for _ in range(6)] + [(np.ones((NUM_FRAMES, 88)), Notes.empty())]


@pytest.fixture(scope="module")
def task(items):
    return DecodingTask(*zip(*items, strict=True), GRID)


def test_scores_are_those_of_the_evaluator(items, task):
    rng = np.random.default_rng(1)
    for _ in range(12):
        config = DecodingConfig(
            **{name: values[rng.integers(len(values))] for name, values in CANDIDATES.items()}
        )
        scores = [
            score_notes(
                decode(roll, GRID, config=config), notes, grid=GRID, num_samples=NUM_SAMPLES
            )
            for roll, notes in items[:-1]
        ]
        expected = [np.mean([s[f"{kind}_f1"] for s in scores]) for kind in ("onset", "frame")]
        np.testing.assert_allclose(task.scores(config), expected, atol=1e-12)


def test_the_search_only_improves(task):
    start = DecodingConfig()
    found = search(task, start)
    assert task.criterion(found) > task.criterion(start)
    few = search(task, start, settings=("threshold",))
    assert few == dataclasses.replace(start, threshold=few.threshold)
    assert task.criterion(start) <= task.criterion(few) <= task.criterion(found)
    assert found.onset_shift_seconds < 0  # the rolls are late


def test_perfect_rolls_change_nothing_but_the_threshold():
    roll = np.zeros((NUM_FRAMES, 88), np.float32)
    roll[10:20, 39] = 0.8
    times = np.array([[10, 20]]) / GRID.frame_rate_hz
    task = DecodingTask([roll], [Notes(times, np.array([60]), np.array([90]))], GRID)
    found = search(task, DecodingConfig(dip=0.25))
    assert 0.1 < found.threshold < 0.8
    assert dataclasses.replace(found, threshold=0.5) == DecodingConfig(dip=0.25)


def test_without_reference_notes_nothing_changes():
    task = DecodingTask([np.ones((NUM_FRAMES, 88), np.float32)], [Notes.empty()], GRID)
    base = DecodingConfig(threshold=0.33)
    assert search(task, base) == base
    assert search(task) == DecodingConfig()
