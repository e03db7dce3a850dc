"""Roll probabilities -> notes.

How a roll, or one of what sounds and one of onsets, is cut into notes is said in segmentation.py.
Velocities are not transcribed: decoding alone gives 127 times the probability of a note, and
`with_velocities` makes loudness of it where the separated source is at hand.
"""

import numpy as np
from jaxtyping import Float, Int, Shaped

from cerberus_jax.decoding_config import DecodingConfig
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from cerberus_jax.segmentation import segment
from cerberus_jax.shapes import check_rank, check_shape

MIDDLE_VELOCITY = 80  # of the note of median loudness
_ATTACK_SECONDS = 0.1  # within which a note reaches its full loudness


def decode(
    roll: Float[np.ndarray, "t p"],
    grid: FrameGrid,
    *,
    config: DecodingConfig | None = None,
    onset_roll: Float[np.ndarray, "t p"] | None = None,
) -> Notes:
    """Notes of one instrument.

    A roll drawn from notes gives them back with both ends on the nearest frame (a note that ends in
    the frame before its key is struck again is taken to last until then).

    Args:
        roll: probabilities in [0, 1], one column per key from MIDI pitch 21.
        grid: its frames.
        config: thresholds; None for the defaults.
        onset_roll: probabilities that a note begins, of the same shape; None: by the roll alone.

    Raises:
        ValueError: if a roll does not have 88 columns or holds a value that is not finite, or the
            two have different shapes.
    """
    config = config or DecodingConfig()
    rows = _rows("roll", roll)
    onset_rows = None
    if onset_roll is not None:
        onset_rows = _rows("onset_roll", onset_roll)
        check_shape("decode: onset_roll", onset_roll, roll.shape)
    keys, first, end, confidence = segment(rows, config, onset_rows)
    intervals = shifted_intervals(keys, first, end, config, grid)
    velocities = np.clip(np.rint(127 * confidence), 1, 127).astype(np.int64)
    return Notes(intervals, keys + LOWEST_PITCH, velocities)


def _rows(name: str, roll: Float[np.ndarray, "t p"]) -> Float[np.ndarray, "p t"]:
    check_rank(f"decode: {name}", roll, ("frames", str(NUM_PITCHES)))
    if roll.shape[1] != NUM_PITCHES:
        raise ValueError(
            f"decode: {name} must have the shape [frames, {NUM_PITCHES}], got {list(roll.shape)}"
        )
    if not np.isfinite(roll).all():
        raise ValueError(f"decode: {name} must hold finite probabilities, it holds NaN or infinity")
    return np.asarray(roll, np.float32).T


def shifted_intervals(
    row: Int[np.ndarray, " n"],
    first: Shaped[np.ndarray, " n"],
    end: Int[np.ndarray, " n"],
    config: DecodingConfig,
    grid: FrameGrid,
) -> Float[np.ndarray, "n 2"]:
    """Seconds of the notes of `segment`, the onsets shifted.

    An onset moves no further than the note's end, and a note ends where its key is struck again:
    overlapping notes of one key are cut short by whatever plays them.
    """
    onsets, offsets = first / grid.frame_rate_hz, end / grid.frame_rate_hz
    onsets = np.clip(onsets + config.onset_shift_seconds, 0, offsets)
    again = row[1:] == row[:-1]
    offsets[:-1] = np.where(again, np.minimum(offsets[:-1], onsets[1:]), offsets[:-1])
    return np.stack([onsets, np.maximum(offsets, onsets)], axis=1)


def frame_envelope(
    source: Float[np.ndarray, "c n"], sample_rate_hz: int, grid: FrameGrid
) -> Float[np.ndarray, " t"]:
    """Root mean square of a separated source from the middle of each frame to that of the next."""
    seconds = source.shape[1] / sample_rate_hz
    num_frames = grid.num_frames(round(seconds * grid.sample_rate_hz))
    middles = np.rint(np.arange(num_frames + 1) * sample_rate_hz / grid.frame_rate_hz)
    middles = np.minimum(middles.astype(np.int64), source.shape[1])
    power = np.append(0.0, np.cumsum(np.mean(np.square(source, dtype=np.float64), axis=0)))
    return np.sqrt(np.diff(power[middles]).clip(0) / np.maximum(np.diff(middles), 1))


def with_velocities(notes: Notes, envelope: Float[np.ndarray, " t"], grid: FrameGrid) -> Notes:
    """The notes of one instrument with velocities by their loudness.

    A note's amplitude is the highest value of the envelope within 0.1 s of its onset, times its
    probability (the velocity that `decode` gave it): of a chord's notes the doubtful ones are
    softer. General MIDI has amplitudes grow with the square of the velocity; the median note gets
    MIDDLE_VELOCITY.

    Args:
        notes: from `decode`.
        envelope: of the instrument's source, from `frame_envelope`.
        grid: the frames.
    """
    if not len(notes) or not len(envelope):
        return notes
    reach = max(round(_ATTACK_SECONDS * grid.frame_rate_hz), 1)
    first = np.rint(notes.onsets * grid.frame_rate_hz).astype(np.int64)
    frames = np.minimum(first[:, None] + np.arange(reach), len(envelope) - 1)
    amplitudes = envelope[frames].max(1) * notes.velocities
    middle = np.median(amplitudes)
    if middle <= 0:
        return notes
    velocities = np.rint(MIDDLE_VELOCITY * np.sqrt(amplitudes / middle))
    return Notes(notes.intervals, notes.pitches, np.clip(velocities, 1, 127).astype(np.int64))
