"""Rolls in pieces give the notes of the whole, and are not kept."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.decoding import decode, frame_envelope
from cerberus_jax.frames import FrameGrid
from cerberus_jax.note_stream import LONGEST_SECONDS, EnvelopeStream, NoteStream

GRID = FrameGrid()
NAMES = ("piano", "drums")


def decoder(rolls):
    return {name: decode(roll, GRID) for name, roll in zip(NAMES, rolls, strict=True)}


def random_rolls(seconds, *, seed=0):
    """Held notes of many lengths, ragged and noisy."""
    rng = np.random.default_rng(seed)
    num_frames = round(seconds * GRID.frame_rate_hz)
    rolls = rng.uniform(0, 0.3, (2, num_frames, 88)).astype(np.float32)
    for slot, pitch, start in zip(
        rng.integers(0, 2, 900), rng.integers(0, 88, 900), rng.integers(0, num_frames, 900),
        strict=True,
    ):  # fmt: skip
        length = int(rng.exponential(60)) + 1
        rolls[slot, start : start + length, pitch] = rng.uniform(0.3, 1, 1)
    return rolls


@pytest.mark.parametrize("size", [1, 37, 1250, 10**6])
def test_pieces_do_not_matter(size):
    rolls = random_rolls(90, seed=size)
    rolls = rolls if size > 1 else rolls[:, :2000]
    stream = NoteStream(decoder, GRID)
    for start in range(0, rolls.shape[1], size):
        stream.add(rolls[:, start : start + size])
    found, whole = stream.finish(), decoder(rolls)
    for name in NAMES:
        assert len(whole[name]) > 50
        np.testing.assert_allclose(found[name].intervals, whole[name].intervals, atol=1e-9)
        np.testing.assert_array_equal(found[name].pitches, whole[name].pitches)
        assert np.abs(found[name].velocities - whole[name].velocities).max() <= 1  # rounding


def test_no_border_loses_or_repeats_a_note():
    """Short notes on every key end on every frame, in pieces as windows give them."""
    rng = np.random.default_rng(0)
    num_frames = 12_000
    rolls = np.zeros((2, num_frames, 88), np.float32)
    for pitch in range(88):
        first = int(rng.integers(0, 20))
        while first < num_frames:
            length = int(rng.integers(3, 30))
            rolls[:, first : first + length, pitch] = 0.9
            first += length + int(rng.integers(2, 20))
    stream, start = NoteStream(decoder, GRID), 0
    for size in itertools.cycle((256, 256, 256, 256, 194)):
        if start >= num_frames:
            break
        stream.add(rolls[:, start : start + size])
        start += size
    found, whole = stream.finish(), decoder(rolls)
    for name in NAMES:
        assert len(found[name]) == len(whole[name]) > 10_000
        np.testing.assert_allclose(_by_onset(found[name]), _by_onset(whole[name]), atol=1e-9)


def _by_onset(notes):
    """Onset, offset and pitch of every note, those that begin together by pitch."""
    order = np.lexsort((notes.pitches, np.round(notes.onsets, 6)))
    return np.column_stack([notes.intervals, notes.pitches])[order]


def test_a_note_that_lasts_is_kept_whole():
    rolls = np.zeros((2, 5000, 88), np.float32)
    rolls[0, 100:3800, 40] = 0.9  # just below LONGEST_SECONDS
    stream = NoteStream(decoder, GRID)
    for start in range(0, 5000, 500):
        stream.add(rolls[:, start : start + 500])
    (interval,) = stream.finish()["piano"].intervals
    np.testing.assert_allclose(interval, (1.6, 60.8))


@pytest.mark.parametrize("seed", range(4))
def test_notes_of_almost_a_minute_among_others_are_those_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    rolls = random_rolls(300, seed=seed)
    for slot, pitch in zip([0, 1] * 10, rng.permutation(88)[:20], strict=True):
        for start in (2000, 9000):
            first = start + int(rng.integers(0, 2500))
            rolls[slot, first : first + int(rng.integers(2500, 3700)), pitch] = 0.9
    stream = NoteStream(decoder, GRID)
    for start in range(0, rolls.shape[1], 400):
        stream.add(rolls[:, start : start + 400])
    found, whole = stream.finish(), decoder(rolls)
    for name in NAMES:
        lengths = np.diff(whole[name].intervals)
        assert 40 < lengths.max() < LONGEST_SECONDS
        np.testing.assert_allclose(_by_onset(found[name]), _by_onset(whole[name]), atol=1e-9)


def test_a_key_held_for_ever_is_cut_and_the_roll_is_not_kept():
    """Others on its key and on other keys stay as they are, and no moment of it is lost."""
    rolls = random_rolls(600)
    rolls[0, :, 40] = 0
    held, again = slice(500, 30_000), slice(30_010, 30_050)
    rolls[0, held, 40] = rolls[0, again, 40] = 0.9
    stream, held_frames = NoteStream(decoder, GRID), []
    for start in range(0, rolls.shape[1], 250):
        stream.add(rolls[:, start : start + 250])
        held_frames.append(sum(piece[0].shape[1] for piece in stream._pieces))
    assert max(held_frames) < (LONGEST_SECONDS + 30) * GRID.frame_rate_hz
    found, whole = stream.finish(), decoder(rolls)
    *parts, last = found["piano"].select(found["piano"].pitches == 61).intervals
    np.testing.assert_allclose(last, (30_010 / GRID.frame_rate_hz, 30_050 / GRID.frame_rate_hz))
    assert np.diff(parts)[:-1].min() >= LONGEST_SECONDS
    assert (parts[0][0], parts[-1][1]) == (8.0, 480.0)
    np.testing.assert_allclose(np.array(parts)[1:, 0], np.array(parts)[:-1, 1])
    for name in NAMES:
        others = [notes[name].select(notes[name].pitches != 61) for notes in (found, whole)]
        np.testing.assert_allclose(*map(_by_onset, others), atol=1e-9)


def test_memory_does_not_grow_with_the_song():
    rolls = random_rolls(60)
    stream, held_frames = NoteStream(decoder, GRID), []
    for _ in range(8):
        for start in range(0, rolls.shape[1], 500):
            stream.add(rolls[:, start : start + 500])
            held_frames.append(sum(piece[0].shape[1] for piece in stream._pieces))
    assert max(held_frames) < 45 * GRID.frame_rate_hz


def test_no_frames_give_no_notes():
    stream = NoteStream(lambda rolls: decoder(np.zeros((2, 0, 88), np.float32)), GRID)
    assert not len(stream.finish()["piano"])


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 5000),
    st.lists(st.floats(0, 1), max_size=4),
    st.sampled_from([16000, 44100, 8000]),
)
def test_levels_in_pieces_equal_those_of_the_whole(num_samples, cuts, rate):
    sources = np.random.default_rng(num_samples).standard_normal((2, 1, num_samples))
    sources = sources.astype(np.float32)
    stream = EnvelopeStream(rate, GRID)
    for piece in np.split(sources, sorted(round(c * num_samples) for c in cuts), axis=2):
        stream.add(piece)
    whole = np.stack([frame_envelope(source, rate, GRID) for source in sources])
    np.testing.assert_allclose(stream.finish(), whole, atol=1e-9)
