"""Notes to frames and rolls, in numpy.

A note is at least one frame long (43 % of drum notes would vanish otherwise), and the frame before
a repeated onset of its pitch is cleared, so that repeats can be told apart.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES


def note_frames(
    onsets: Float[np.ndarray, " m"], offsets: Float[np.ndarray, " m"], grid: FrameGrid
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """First and end frame of notes whose times count from the start of the excerpt; not clipped."""
    first = np.rint(onsets * grid.frame_rate_hz).astype(np.int64)
    end = np.rint(offsets * grid.frame_rate_hz).astype(np.int64)
    return first, np.maximum(end, first + 1)


def draw_roll(notes: Int[np.ndarray, "m 3"], num_frames: int) -> Bool[np.ndarray, "t p"]:
    """The roll of notes (first frame, end frame, pitch); empty rows (end <= first) draw nothing."""
    return draw_rolls(notes, num_frames)


def draw_rolls(
    notes: Int[np.ndarray, "*batch m 3"], num_frames: int
) -> Bool[np.ndarray, "*batch t p"]:
    """`draw_roll` over leading axes, as [s t p] or [b s t p]."""
    rows = notes.reshape(-1, 3).astype(np.int64)
    first, end = np.clip(rows[:, 0], 0, num_frames), np.clip(rows[:, 1], 0, num_frames)
    key = rows[:, 2] - LOWEST_PITCH
    drawn = np.flatnonzero((end > first) & (key >= 0) & (key < NUM_PITCHES))
    first, length = first[drawn], (end - first)[drawn]
    rolls = np.zeros((*notes.shape[:-2], num_frames, NUM_PITCHES), np.bool_)
    flat = rolls.reshape(-1)
    onset = (drawn // max(1, notes.shape[-2]) * num_frames + first) * NUM_PITCHES + key[drawn]
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    flat[np.repeat(onset, length) + within * NUM_PITCHES] = True
    flat[onset[first > 0] - NUM_PITCHES] = False  # the frame before a repeat ...
    flat[onset] = True  # ... unless a note begins there
    return rolls
