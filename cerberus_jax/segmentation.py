"""Rolls of single keys -> first and end frames of notes.

By the roll of what sounds alone, a dip, one frame is enough, tells a repeated key from a held one:
in training the frame before a repeated onset is cleared.

With a roll of onsets a note begins

* at a local maximum of that roll, where the other shows soon after that something sounds; or
* where the roll of what sounds alone would have it begin, no such maximum is near, and the roll of
  onsets does not rule it out;

and it lasts until the roll of what sounds falls or the next note of the key begins. A dip where no
note begins ends none.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from cerberus_jax.decoding_config import DIP_REACH, DecodingConfig

_REACH = 2  # frames within which the two rolls may mean the same onset


def segment(
    rows: Float[np.ndarray, "r t"],
    config: DecodingConfig,
    onset_rows: Float[np.ndarray, "r t"] | None = None,
) -> tuple[
    Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]
]:
    """Row, first frame, end frame and probability of every note, sorted by row and frame.

    The probability is the mean over the note's frames; with rows of onsets that of its onset, if it
    is higher.

    Args:
        rows: probabilities of one key each.
        config: all but its shift counts here.
        onset_rows: probabilities that a note begins; None: by the rows alone.
    """
    # One row after another, with more silence between two than anything reaches.
    margin = max(config.max_gap_frames + 1, _REACH, config.onset_distance_frames)
    padded = np.pad(rows, ((0, 0), (margin, margin)))
    flat = padded.reshape(-1)
    if onset_rows is None:
        starts, ends = _segments(flat, config)
        starts, ends = _trim_to_onsets(flat, starts, ends, config.threshold)
    else:
        onsets = np.pad(onset_rows, ((0, 0), (margin, margin))).reshape(-1)
        starts, ends = _joint_segments(flat, onsets, config)
    long_enough = ends - starts >= config.min_frames
    starts, ends = starts[long_enough], ends[long_enough]
    confidence = _means(flat, starts, ends)
    if onset_rows is not None:
        confidence = np.maximum(confidence, onsets[starts])
    ends = ends + np.append(starts[1:] == ends[:-1] + 1, False)  # give the cleared frame back
    row, first = np.divmod(starts, padded.shape[1])
    return row, first - margin, first - margin + ends - starts, confidence


def _joint_segments(flat: Float[np.ndarray, " n"], onsets: Float[np.ndarray, " n"], config):
    """First and end index of every note by both rolls."""
    peaks = _peaks(onsets, config) & (_highest(flat, 0, _REACH) >= config.frame_support)
    held_starts, held_ends = _segments(flat, config)
    frame_starts, sounding = _first_over(flat, held_starts, held_ends, config.threshold)
    explained = _any_between(peaks, held_starts - _REACH, frame_starts + _REACH + 1)
    supported = _highest(onsets, _REACH, _REACH)[frame_starts] >= config.onset_support
    begins = peaks.copy()
    begins[frame_starts[sounding & supported & ~explained]] = True
    starts = np.flatnonzero(begins)
    again = _any_between(begins, held_starts - _REACH, frame_starts + 1) | ~sounding
    held_starts, held_ends = _joined(held_starts, held_ends, again, config)
    position = np.searchsorted(held_ends, starts, side="right")
    run_starts, run_ends = (
        np.append(ends, len(flat))[position] for ends in (held_starts, held_ends)
    )
    ends = np.where(run_starts <= starts + _REACH, run_ends, starts + 1)
    return starts, np.minimum(ends, np.append(starts[1:], len(flat)))


def _joined(starts, ends, again: Bool[np.ndarray, " m"], config: DecodingConfig):
    """The segments, each with the next where the gap is short and the next is not heard `again`."""
    apart = (starts[1:] - ends[:-1] > max(config.max_gap_frames, 1)) | again[1:]
    return starts[np.append(True, apart)[: len(starts)]], ends[np.append(apart, True)[: len(ends)]]


def _peaks(onsets: Float[np.ndarray, " n"], config: DecodingConfig) -> Bool[np.ndarray, " n"]:
    """Local maxima of a roll of onsets; of equal values within the distance the first."""
    distance = config.onset_distance_frames
    before = np.append(-1.0, _highest(onsets, distance - 1, 0)[:-1])
    after = _highest(onsets, 0, distance)
    return (onsets >= config.onset_threshold) & (onsets > before) & (onsets >= after)


def _highest(flat: Float[np.ndarray, " n"], back: int, ahead: int) -> Float[np.ndarray, " n"]:
    """The highest value from `back` frames before each to `ahead` after it."""
    padded = np.pad(flat, (back, ahead), constant_values=-1.0)
    return np.maximum.reduce([padded[k : k + len(flat)] for k in range(back + ahead + 1)])


def _any_between(marks: Bool[np.ndarray, " n"], first, end) -> Bool[np.ndarray, " m"]:
    """Whether one of the marks lies in each of the ranges [first, end)."""
    count = np.append(0, np.cumsum(marks))
    return count[np.minimum(end, len(marks))] > count[np.maximum(first, 0)]


def _segments(flat: Float[np.ndarray, " n"], config: DecodingConfig):
    """First and end index of every stretch in which a key may be held, repeats apart."""
    held = flat >= config.threshold * config.hysteresis
    dips = _dips(flat, config.dip)
    starts, ends = _runs(held)
    if len(starts) > 1:
        gap_starts, gap_ends = ends[:-1], starts[1:]
        short = gap_ends - gap_starts <= config.max_gap_frames
        deep = np.logical_or.reduceat(dips, np.stack([gap_starts, gap_ends], 1).reshape(-1))[::2]
        held = held.copy()
        held[_indices(gap_starts[short & ~deep], gap_ends[short & ~deep])] = True
    return _runs(held & ~dips)


def _dips(flat: Float[np.ndarray, " n"], depth: float) -> Bool[np.ndarray, " n"]:
    """Local minima at least `depth` below the highest value within reach on both sides.

    Of a flat bottom every frame counts; the silent frames between two keys count as well.
    """
    around, size = np.pad(flat, DIP_REACH), len(flat)
    before = [around[k : k + size] for k in range(DIP_REACH)]
    after = [around[k : k + size] for k in range(DIP_REACH + 1, 2 * DIP_REACH + 1)]
    shoulders = np.minimum(np.maximum.reduce(before), np.maximum.reduce(after))
    lowest = np.minimum(before[-1], after[0])
    return (flat <= lowest) & (shoulders - flat >= depth)


def _trim_to_onsets(flat: Float[np.ndarray, " n"], starts, ends, threshold: float):
    """Drops the segments that never reach the threshold; the others begin where they first do."""
    onsets, sounding = _first_over(flat, starts, ends, threshold)
    return onsets[sounding], ends[sounding]


def _first_over(flat: Float[np.ndarray, " n"], starts, ends, threshold: float):
    """Where each segment first reaches the threshold, its start if it never does; and whether."""
    over = np.flatnonzero(flat >= threshold)
    onsets = np.append(over, len(flat))[np.searchsorted(over, starts)]
    sounding = onsets < ends
    return np.where(sounding, onsets, starts), sounding


def _runs(active: Bool[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """First and end index of every stretch of True; both ends of `active` are False."""
    changes = np.flatnonzero(active[1:] != active[:-1]) + 1
    return changes[::2], changes[1::2]


def _indices(starts, ends) -> Int[np.ndarray, " n"]:
    """All indices of the ranges, one range after the other."""
    lengths = ends - starts
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(starts, lengths) + offsets


def _means(flat: Float[np.ndarray, " n"], starts, ends) -> Float[np.ndarray, " m"]:
    sums = np.append(0.0, np.cumsum(flat, dtype=np.float64))
    return (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
