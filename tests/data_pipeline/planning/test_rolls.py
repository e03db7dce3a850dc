"""Rolls against a naive loop, the frame rule, gains and mixtures."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid
from data_pipeline.io import pcm
from data_pipeline.planning import rolls


def _naive_roll(notes, num_frames):
    roll = [[False] * 88 for _ in range(num_frames)]
    for key in range(88):
        rows = [(int(f), int(e)) for f, e, p in notes if int(p) - 21 == key and e > f]
        rows = [(max(f, 0), min(e, num_frames)) for f, e in rows]
        rows = [(f, e) for f, e in rows if e > f]
        onsets = {f for f, _ in rows}
        for frame in range(num_frames):
            active = any(f <= frame < e for f, e in rows)
            roll[frame][key] = frame in onsets or (active and frame + 1 not in onsets)
    return np.array(roll)


_PITCH = st.sampled_from([0, 20, 21, 60, 108, 109])
_NOTE = st.tuples(st.integers(0, 12), st.integers(0, 14), _PITCH)


@settings(max_examples=200, deadline=None)
@given(st.lists(_NOTE, max_size=12))
def test_roll_equals_the_naive_loop(rows):
    notes = np.array(rows, np.int16).reshape(-1, 3)
    np.testing.assert_array_equal(rolls.draw_roll(notes, 12), _naive_roll(notes, 12))


def test_repeats_stay_apart_and_short_notes_stay():
    notes = np.array([(0, 5, 60), (5, 8, 60), (8, 9, 60), (9, 10, 60), (0, 0, 0)], np.int16)
    roll = rolls.draw_roll(notes, 10)[:, 60 - 21]
    # A note of one frame before another onset survives: its own onset is never cleared.
    np.testing.assert_array_equal(roll, [1, 1, 1, 1, 0, 1, 1, 0, 1, 1])


def test_rolls_over_leading_axes():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 20, (2, 3, 5))
    notes = np.stack([first, first + rng.integers(0, 9, first.shape), 21 + first], -1)
    drawn = rolls.draw_rolls(notes.astype(np.int16), 20)
    assert drawn.shape == (2, 3, 20, 88)
    np.testing.assert_array_equal(drawn[1, 2], rolls.draw_roll(notes[1, 2], 20))


def test_frame_rule():
    grid = FrameGrid(sample_rate_hz=1000, window=20, hop=10)
    onsets = np.array([0.0, 0.014, 0.016, 0.1])
    offsets = np.array([0.001, 0.016, 0.0161, 0.2])
    first, end = rolls.note_frames(onsets, offsets, grid)
    np.testing.assert_array_equal(first, [0, 1, 2, 10])
    np.testing.assert_array_equal(end, [1, 2, 3, 20])


def test_gains_and_mixture():
    np.testing.assert_allclose(
        pcm.gain_of_db(np.array([0.0, 20.0, -6.0206])), [1, 10, 0.5], rtol=1e-5
    )
    sources = np.array([[[16384, -32768]], [[8192, 0]]], np.int16).transpose(1, 0, 2)
    scaled = pcm.scale_sources(sources, np.array([[1.0, 2.0]], np.float32))
    np.testing.assert_array_equal(scaled, [[[0.5, -1.0], [0.5, 0.0]]])
    np.testing.assert_array_equal(pcm.mix(scaled), [[1.0, -1.0]])
