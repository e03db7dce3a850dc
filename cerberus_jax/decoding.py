"""Roll probabilities -> notes.

A roll holds no onset signal of its own: the frame before a repeated onset is cleared in training,
so a dip, one frame is enough, is what tells a repeated key from a held one. Velocities are not
transcribed either: decoding alone gives 127 times the mean probability of a note's frames, and
`with_velocities` makes loudness of it where the separated source is at hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from cerberus_jax.shapes import check_rank

MIDDLE_VELOCITY = 80  # of the note of median loudness
_ATTACK_SECONDS = 0.1  # within which a note reaches its full loudness
_DIP_REACH = 2  # frames to either side of a dip in which its shoulders are looked for


@dataclass(frozen=True)
class DecodingConfig:
    """How the roll of one instrument becomes notes. `dataclasses.asdict` gives its JSON form.

    Args:
        threshold: a note begins at the first frame whose probability reaches this.
        hysteresis: it lasts while the probability is at least this fraction of the threshold.
        dip: probability by which a frame must lie below both its shoulders to end one note and let
            the next begin; shallower gaps of at most `max_gap_frames` are bridged.
        max_gap_frames: longest gap that is bridged where it is shallower than `dip`.
        min_frames: shorter notes are dropped; drum hits are one frame long.
        onset_shift_seconds: added to every onset; to be tuned where a network is early or late.

    Raises:
        ValueError: if a value is out of range.
    """

    threshold: float = 0.5
    hysteresis: float = 0.7
    dip: float = 0.2
    max_gap_frames: int = 2
    min_frames: int = 1
    onset_shift_seconds: float = 0.0

    def __post_init__(self):
        for name, low, high in (
            ("threshold", 1e-3, 1.0),
            ("hysteresis", 1e-3, 1.0),
            ("dip", 1e-3, 1.0),
            ("max_gap_frames", 0, 2 * _DIP_REACH - 1),
            ("min_frames", 1, np.inf),
            ("onset_shift_seconds", -1.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(
                    f"DecodingConfig: {name} must lie between {low} and {high}, got {value!r}"
                )

    @classmethod
    def from_json(cls, values: Mapping) -> "DecodingConfig":
        """The configuration that `dataclasses.asdict` wrote; unknown names are a ValueError."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(
                f"DecodingConfig: unknown fields {unknown}; the fields are {', '.join(known)}"
            )
        return cls(**values)


def decode(
    roll: Float[np.ndarray, "t p"], grid: FrameGrid, *, config: DecodingConfig | None = None
) -> Notes:
    """Notes of one instrument.

    A roll drawn from notes gives them back with both ends on the nearest frame (a note that ends in
    the frame before its key is struck again is taken to last until then).

    Args:
        roll: probabilities in [0, 1], one column per key from MIDI pitch 21.
        grid: its frames.
        config: thresholds; None for the defaults.

    Raises:
        ValueError: if the roll does not have 88 columns or holds a value that is not finite.
    """
    config = config or DecodingConfig()
    check_rank("decode: roll", roll, ("frames", str(NUM_PITCHES)))
    if roll.shape[1] != NUM_PITCHES:
        raise ValueError(
            f"decode: roll must have the shape [frames, {NUM_PITCHES}], got {list(roll.shape)}"
        )
    if not np.isfinite(roll).all():
        raise ValueError("decode: roll must hold finite probabilities, it holds NaN or infinity")
    keys, first, end, confidence = segment(np.asarray(roll, np.float32).T, config)
    intervals = shifted_intervals(keys, first, end, config, grid)
    velocities = np.clip(np.rint(127 * confidence), 1, 127).astype(np.int64)
    return Notes(intervals, keys + LOWEST_PITCH, velocities)


def shifted_intervals(
    row: Int[np.ndarray, " n"],
    first: Int[np.ndarray, " n"],
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


def segment(
    rows: Float[np.ndarray, "r t"], config: DecodingConfig
) -> tuple[
    Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]
]:
    """Row, first frame, end frame and mean probability of every note, sorted by row and frame.

    Args:
        rows: probabilities of one key each.
        config: all but its shift counts here.
    """
    # One row after another, with more silence between two than any gap that is bridged.
    margin = config.max_gap_frames + 1
    padded = np.pad(rows, ((0, 0), (margin, margin)))
    flat = padded.reshape(-1)
    starts, ends = _segments(flat, config)
    starts, ends = _trim_to_onsets(flat, starts, ends, config.threshold)
    long_enough = ends - starts >= config.min_frames
    starts, ends = starts[long_enough], ends[long_enough]
    confidence = _means(flat, starts, ends)
    ends = ends + np.append(starts[1:] == ends[:-1] + 1, False)  # give the cleared frame back
    row, first = np.divmod(starts, padded.shape[1])
    return row, first - margin, first - margin + ends - starts, confidence


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
    around, size = np.pad(flat, _DIP_REACH), len(flat)
    before = [around[k : k + size] for k in range(_DIP_REACH)]
    after = [around[k : k + size] for k in range(_DIP_REACH + 1, 2 * _DIP_REACH + 1)]
    shoulders = np.minimum(np.maximum.reduce(before), np.maximum.reduce(after))
    lowest = np.minimum(before[-1], after[0])
    return (flat <= lowest) & (shoulders - flat >= depth)


def _trim_to_onsets(flat: Float[np.ndarray, " n"], starts, ends, threshold: float):
    """Drops the segments that never reach the threshold; the others begin where they first do."""
    over = np.flatnonzero(flat >= threshold)
    position = np.searchsorted(over, starts)
    onsets = np.append(over, len(flat))[position]
    sounding = onsets < ends
    return onsets[sounding], ends[sounding]


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
