"""Decoding of two rolls: what sounds, and where notes begin."""

import dataclasses

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.decoding import decode
from cerberus_jax.decoding_config import DecodingConfig
from cerberus_jax.frames import FrameGrid
from cerberus_jax.note_stream import NoteStream
from cerberus_jax.notes import NUM_PITCHES
from tests.cerberus_jax.test_decoding import drawn, frames_of, random_notes, roll_of

GRID = FrameGrid()
BY_FRAMES = DecodingConfig(onset_threshold=1.0, onset_support=0.0)


def drawn_onsets(frames, num_frames):
    onsets = np.zeros((num_frames, NUM_PITCHES), np.float32)
    for first, _, pitch in frames:
        onsets[first, pitch - 21] = 1
    return onsets


def found(values, onset_values, **changes):
    """Frames of the notes of one key."""
    config = DecodingConfig(**changes)
    notes = decode(roll_of(values), GRID, config=config, onset_roll=roll_of(onset_values))
    return [(first, end) for first, end, _ in frames_of(notes)]


@pytest.mark.parametrize("seed", range(30))
def test_drawn_rolls_give_their_notes_back(seed):
    """Repeats with no gap among them."""
    rng = np.random.default_rng(seed)
    num_frames = int(rng.integers(1, 120))
    frames = random_notes(rng, num_frames, 300)
    rolls = drawn(frames, num_frames), drawn_onsets(frames, num_frames)
    expected = sorted(frames, key=lambda note: (note[0], note[2]))
    for changes in ({}, {"threshold": 0.05}, {"onset_threshold": 1.0, "onset_support": 1.0}):
        config = DecodingConfig(**changes)
        notes = frames_of(decode(rolls[0], GRID, config=config, onset_roll=rolls[1]))
        assert [(a, p) for a, _, p in notes] == [(a, p) for a, _, p in expected]
        for (_, end, _), (_, expected_end, _) in zip(notes, expected, strict=True):
            assert 0 <= end - expected_end <= 1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.2, 0.5]), st.integers(0, 3))
def test_without_evidence_of_onsets_the_other_roll_decides_alone(seed, dip, max_gap_frames):
    rng = np.random.default_rng(seed)
    roll = rng.random((60, NUM_PITCHES), np.float32) ** 2
    config = dataclasses.replace(BY_FRAMES, dip=dip, max_gap_frames=max_gap_frames)
    alone = decode(roll, GRID, config=config)
    assert len(alone) > 100
    assert decode(roll, GRID, config=config, onset_roll=np.zeros_like(roll)) == alone


def test_an_onset_splits_a_held_key_and_a_dip_alone_does_not():
    held = [0.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.0]
    assert found(held, [0, 0.8, 0.1, 0, 0.7, 0.3, 0, 0]) == [(1, 4), (4, 7)]
    dipping = [0.0, 0.9, 0.9, 0.5, 0.9, 0.9, 0.9, 0.0]
    assert found(dipping, [0, 0.8, 0, 0, 0, 0, 0, 0]) == [(1, 7)]
    assert found(dipping, [0, 0.8, 0, 0, 0.3, 0, 0, 0]) == [(1, 4), (4, 7)]
    assert found(dipping, [0, 0.8, 0, 0, 0, 0, 0, 0], onset_support=0.0) == [(1, 4), (4, 7)]


def test_what_begins_without_an_onset_counts_where_onsets_support_it():
    values, onset_values = [0, 0, 0.6, 0.9, 0.9, 0], [0, 0, 0, 0.3, 0, 0]
    assert found(values, onset_values, onset_support=0.25) == [(2, 5)]
    assert found(values, onset_values, onset_support=0.35) == []


def test_an_onset_counts_where_something_sounds():
    silent = [0, 0.05, 0.05, 0.05, 0, 0]
    assert found(silent, [0, 0.9, 0, 0, 0, 0]) == []
    assert found(silent, [0, 0.9, 0, 0, 0, 0], frame_support=0.04) == [(1, 2)]
    late = [0, 0, 0, 0.8, 0.8, 0]
    assert found(late, [0, 0.9, 0, 0, 0, 0]) == [(1, 5)]
    assert found(late, [0.9, 0, 0, 0, 0, 0]) == []


def test_of_a_plateau_the_first_frame_is_the_onset():
    held = [0.9] * 8
    assert found(held, [0, 0.7, 0.7, 0.7, 0, 0, 0, 0], onset_support=1.0) == [(1, 8)]
    twice = [0, 0.7, 0, 0.8, 0, 0.8, 0, 0]
    assert found(held, twice, onset_support=1.0) == [(1, 3), (3, 5), (5, 8)]
    assert found(held, twice, onset_distance_frames=2, onset_support=1.0) == [(3, 8)]


def test_a_note_lasts_to_the_next_onset_or_until_the_roll_falls():
    values = [0.1, 0.4, 0.9, 0.7, 0.45, 0.4, 0.36, 0.3, 0.1]
    assert found(values, [0, 0.9, 0, 0, 0, 0, 0, 0, 0]) == [(1, 7)]
    assert found(values, [0, 0.9, 0, 0, 0, 0.9, 0, 0, 0]) == [(1, 5), (5, 7)]


def test_a_sure_onset_makes_a_note_louder():
    notes = decode(roll_of([0.5] * 4), GRID, onset_roll=roll_of([1.0, 0, 0, 0]))
    assert notes.velocities.tolist() == [127]


def test_rolls_that_do_not_fit(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    roll = np.zeros((5, NUM_PITCHES), np.float32)
    with pytest.raises(ValueError, match=r"onset_roll: the shape \[5, 88\]"):
        decode(roll, GRID, onset_roll=roll[:4])
    with pytest.raises(ValueError, match=r"onset_roll must have the shape .* got \[5, 80\]"):
        decode(roll, GRID, onset_roll=roll[:, :80])
    with pytest.raises(ValueError, match="onset_roll must hold finite"):
        decode(roll, GRID, onset_roll=roll * np.nan)


@pytest.mark.parametrize(
    "values", [{"onset_threshold": 0.0}, {"onset_distance_frames": 9}, {"frame_support": -0.1},
               {"onset_support": 1.5}]
)  # fmt: skip
def test_values_out_of_range(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} must lie between"):
        DecodingConfig(**values)


def noisy_rolls(rng, num_frames):
    """Long and short notes on every key, in rolls that often disagree."""
    roll = rng.uniform(0, 0.4, (num_frames, NUM_PITCHES)).astype(np.float32)
    onsets = rng.uniform(0, 0.35, roll.shape).astype(np.float32) ** 2
    num_notes = num_frames // 4
    for key, first, length, hit in zip(
        rng.integers(0, NUM_PITCHES, num_notes), rng.integers(0, num_frames, num_notes),
        rng.exponential(150, num_notes).astype(int), rng.random(num_notes), strict=True,
    ):  # fmt: skip
        roll[first : first + length + 1, key] = rng.uniform(0.3, 1)
        if hit < 0.7:
            late = min(first + int(rng.integers(0, 3)), num_frames - 1)
            onsets[late, key] = rng.uniform(0.1, 1)
    return roll, onsets


@settings(deadline=None, max_examples=12)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.1, 0.3, 1.0]),
    st.sampled_from([-0.06, -0.01, 0.0, 0.024, 0.05]),
    st.sampled_from([211, 256, 1250]),
    st.sampled_from([256, 512]),
)
def test_pieces_do_not_matter(seed, onset_support, shift, size, hop):
    """Nor where a roll is cut within what sounds without being a note."""
    rng, grid = np.random.default_rng(seed), FrameGrid(hop=hop)
    rolls = noisy_rolls(rng, 5000)
    config = DecodingConfig(
        onset_support=onset_support, onset_shift_seconds=shift, onset_threshold=0.3
    )

    def decoder(frames, onsets):
        return {"piano": decode(frames[0], grid, config=config, onset_roll=onsets[0])}

    stream = NoteStream(decoder, grid)
    for start in range(0, 5000, size):
        stream.add(*(roll[None, start : start + size] for roll in rolls))
    streamed, whole = (
        _by_onset(notes["piano"])
        for notes in (stream.finish(), decoder(*(roll[None] for roll in rolls)))
    )
    assert len(whole) > 200
    np.testing.assert_allclose(streamed, whole, atol=1e-9)


def _by_onset(notes):
    order = np.lexsort((notes.pitches, np.round(notes.onsets, 6)))
    return np.column_stack([notes.intervals, notes.pitches])[order]


def test_keys_do_not_touch_each_other():
    """The last frame of one key beside the first of the next."""
    rng = np.random.default_rng(0)
    rolls = noisy_rolls(rng, 60)
    config = DecodingConfig(max_gap_frames=0, onset_distance_frames=4, onset_threshold=0.05)
    together = decode(rolls[0], GRID, config=config, onset_roll=rolls[1])
    for pitch in range(21, 109):
        alone = [np.where(np.arange(21, 109) == pitch, roll, 0) for roll in rolls]
        own = decode(alone[0], GRID, config=config, onset_roll=alone[1])
        assert own == together.select(together.pitches == pitch)
