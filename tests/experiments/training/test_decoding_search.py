"""The fast scores are those of the evaluator; the search finds what it should."""

import dataclasses

import mir_eval
import numpy as np
import pytest

from cerberus_jax.decoding import DecodingConfig, decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from experiments.evaluation.note_scores import score_notes
from experiments.training.decoding_search import (
    BY_FRAMES,
    BY_ONSETS,
    CANDIDATES,
    ONSET_CANDIDATES,
    DecodingTask,
    search,
    search_from,
)
from experiments.training.note_matching import matched_notes, matched_onsets

GRID = FrameGrid(hop=512)
NUM_SAMPLES = 5 * 16000
NUM_FRAMES = GRID.num_frames(NUM_SAMPLES)


def random_item(rng, num_notes=40, *, earliest=-0.5, latest=4.95, grid=GRID):
    """Notes with random velocities, some from before, and a blurred, noisy, late roll of them."""
    onsets = rng.uniform(earliest, latest, num_notes)
    ends = onsets + rng.uniform(0, 0.6, num_notes)
    sounding = ends > 0
    intervals = np.stack([onsets, np.minimum(ends, 5)], 1)[sounding]
    pitches, velocities = rng.integers(50, 58, num_notes), rng.integers(10, 100, num_notes)
    notes = Notes(intervals, pitches[sounding], velocities[sounding])
    num_frames = grid.num_frames(NUM_SAMPLES)
    roll = np.zeros((num_frames, 88), np.float32)
    for (start, end), pitch in zip(notes.intervals, notes.pitches, strict=True):
        first, last = (round(max(t, 0) * grid.frame_rate_hz) for t in (start, end))
        roll[first + 1 : last + 2, pitch - 21] = rng.uniform(0.2, 1)
    roll[:, :45] += 0.35 * rng.random((num_frames, 45)).astype(np.float32)
    return roll.clip(0, 1), notes


@pytest.fixture(scope="module")
def items():
    """Random ones, one with notes from before alone, and one without notes."""
    rng = np.random.default_rng(0)
    only_before = random_item(rng, 10, earliest=-0.2, latest=-0.05)
    silent = (np.ones((NUM_FRAMES, 88)), Notes.empty())
    return [*(random_item(rng) for _ in range(6)), only_before, silent]


@pytest.fixture(scope="module")
def task(items):
    return task_of(*items)


def task_of(*items, grid=GRID, **settings):
    return DecodingTask(*zip(*items, strict=True), grid, num_samples=NUM_SAMPLES, **settings)


def random_onset_roll(rng, notes):
    """Peaks near most of the notes' onsets, blurred, among noise."""
    onsets = 0.3 * rng.random((NUM_FRAMES, 88)).astype(np.float32) ** 2
    heard = rng.random(len(notes)) < 0.8
    first = np.rint(notes.onsets * GRID.frame_rate_hz).astype(int) + rng.integers(0, 2, len(notes))
    for frame, pitch in zip(first[heard], notes.pitches[heard], strict=True):
        if 0 <= frame < NUM_FRAMES - 1:
            onsets[frame : frame + 2, pitch - 21] += rng.uniform(0, 0.7, 2)
    return onsets.clip(0, 1)


@pytest.fixture(scope="module")
def onset_rolls(items):
    rng = np.random.default_rng(7)
    return [random_onset_roll(rng, notes) for _, notes in items]


@pytest.fixture(scope="module")
def joint_task(items, onset_rolls):
    return task_of(*items, onset_rolls=onset_rolls, with_offsets=True)


def test_scores_are_those_of_the_evaluator(items, task):
    rng = np.random.default_rng(1)
    for _ in range(12):
        config = DecodingConfig(
            **{name: values[rng.integers(len(values))] for name, values in CANDIDATES.items()}
        )
        assert_scored_alike(items, task, config)


def test_scores_of_both_rolls_are_those_of_the_evaluator(items, joint_task, onset_rolls):
    """Of onsets with offsets too."""
    rng = np.random.default_rng(1)
    for _ in range(12):
        config = DecodingConfig(
            **{
                name: values[rng.integers(len(values))]
                for name, values in (CANDIDATES | ONSET_CANDIDATES).items()
            }
        )
        assert_scored_alike(items, joint_task, config, onset_rolls)


def test_matchings_are_as_large_as_those_of_mir_eval():
    """Crowded notes of one pitch, where the first free partner is not always a best one."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        notes = [
            np.column_stack([onsets, onsets + rng.uniform(0, 0.3, len(onsets))])
            for onsets in (np.sort(rng.uniform(0, 1.5, 40)) for _ in range(2))
        ]
        references, estimates = notes
        lengths = [np.diff(intervals)[:, 0] for intervals in notes]
        for ratio, found in (
            (None, matched_onsets(references[:, 0], estimates[:, 0])),
            (0.2, matched_notes(references[:, 0], lengths[0], estimates[:, 0], lengths[1])),
        ):
            pairs = mir_eval.transcription.match_notes(
                references, np.full(40, 440.0), estimates, np.full(40, 440.0), offset_ratio=ratio
            )
            assert found.sum() == len(pairs) > 10
    nothing = np.zeros(0)
    assert not matched_onsets(references[:, 0], nothing).any()
    assert not len(matched_notes(nothing, nothing, estimates[:, 0], lengths[1]))


@pytest.mark.parametrize("hop", [512, 1024])
def test_the_same_at_the_borders(hop):
    """Items full of notes around either border, heard early, late and after the end."""
    rng, grid = np.random.default_rng(2), FrameGrid(window=2 * hop, hop=hop)
    for _ in range(5):
        items = [
            random_item(rng, 60, earliest=-0.3, latest=0.15, grid=grid),
            random_item(rng, 60, earliest=4.8, latest=4.999, grid=grid),
        ]
        task = task_of(*items, grid=grid)
        for shift in (-0.05, 0.0, 0.03, 0.4):
            config = DecodingConfig(threshold=0.2, dip=0.05, onset_shift_seconds=shift)
            assert_scored_alike(items, task, config)


def assert_scored_alike(items, task, config, onset_rolls=None):
    onset_rolls = [None] * len(items) if onset_rolls is None else onset_rolls
    scores = [
        score_notes(
            decode(roll, task.grid, config=config, onset_roll=onset_roll),
            notes,
            grid=task.grid,
            num_samples=NUM_SAMPLES,
        )
        for (roll, notes), onset_roll in zip(items, onset_rolls, strict=True)
    ]
    expected = []
    for kind in ("onset", "frame", "onset_offset")[: 3 if task.with_offsets else 2]:
        f1 = [item[f"{kind}_f1"] for item in scores]
        expected.append(np.mean([value for value in f1 if value is not None]))
    np.testing.assert_allclose(task.scores(config), expected, atol=1e-12)


def test_the_search_only_improves(task):
    start = DecodingConfig()
    chosen = search(task, start)
    assert task.criterion(chosen) > task.criterion(start)
    few = search(task, start, settings=("threshold",))
    assert few == dataclasses.replace(start, threshold=few.threshold)
    assert task.criterion(start) <= task.criterion(few) <= task.criterion(chosen)
    assert chosen.onset_shift_seconds < 0  # the rolls are late


def test_both_rolls_are_no_worse_than_either_alone(joint_task):
    both = joint_task.criterion(search(joint_task))
    frames = joint_task.without_onset_rolls()
    by_frames = frames.criterion(search(frames, dataclasses.replace(DecodingConfig(), **BY_FRAMES)))
    settings = [name for name in CANDIDATES | ONSET_CANDIDATES if name not in BY_ONSETS]
    onsets_alone = dataclasses.replace(DecodingConfig(), **BY_ONSETS)
    by_onsets = joint_task.criterion(search_from(joint_task, onsets_alone, settings))
    assert both > max(by_frames, by_onsets) + 0.01


def test_no_decoding_is_scored_twice_and_tasks_remember_their_own(joint_task, monkeypatch):
    task, scored = joint_task.without_onset_rolls(), []
    scores = DecodingTask.scores

    def counted(self, config):
        scored.append((self is task, config))
        return scores(self, config)

    monkeypatch.setattr(DecodingTask, "scores", counted)
    config = search(task, DecodingConfig(min_frames=4))
    assert len(scored) == len(set(scored)) > 0
    assert task.criterion(config) == pytest.approx(np.mean(scores(task, config)), abs=1e-12)
    assert joint_task.criterion(config) == pytest.approx(np.mean(scores(joint_task, config)))
    assert joint_task.criterion(config) != task.criterion(config)


def test_perfect_rolls_change_nothing_but_the_threshold():
    roll = np.zeros((NUM_FRAMES, 88), np.float32)
    roll[10:20, 39] = 0.8
    times = np.array([[10, 20]]) / GRID.frame_rate_hz
    task = task_of((roll, Notes(times, np.array([60]), np.array([90]))))
    chosen = search(task, DecodingConfig(dip=0.25))
    assert 0.1 < chosen.threshold < 0.8
    assert dataclasses.replace(chosen, threshold=0.5) == DecodingConfig(dip=0.25)


def test_without_reference_notes_nothing_changes():
    task = task_of((np.ones((NUM_FRAMES, 88), np.float32), Notes.empty()))
    base = DecodingConfig(threshold=0.33)
    assert search(task, base) == base
    assert search(task) == search_from(task, DecodingConfig(), CANDIDATES) == DecodingConfig()
    assert np.isnan(task.scores(base)).all()


def test_notes_from_before_alone_have_no_onset_score():
    roll = np.zeros((NUM_FRAMES, 88), np.float32)
    roll[:20, 39] = 0.8
    before = Notes(np.array([[-1, 20 / GRID.frame_rate_hz]]), np.array([60]), np.array([90]))
    assert task_of((roll, before)).scores(DecodingConfig()) == (0.0, 1.0)
