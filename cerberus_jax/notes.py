"""Notes of one instrument: intervals in seconds, MIDI pitches, velocities. Plain numpy, no JAX.

The first key of every piano roll is MIDI pitch 21 (A0), the last 108 (C8); `LOWEST_PITCH` and
`NUM_PITCHES` say so once for the whole project.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

LOWEST_PITCH = 21
NUM_PITCHES = 88


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes sorted by onset, then pitch.

    Args:
        intervals: onset and offset of each note in seconds; the offset is never before the onset.
        pitches: MIDI numbers, 0 to 127.
        velocities: 1 to 127.

    Raises:
        ValueError: on differing lengths, non-finite times, an offset before its onset, or values
            out of range.
    """

    intervals: Float[np.ndarray, "n 2"]
    pitches: Int[np.ndarray, " n"]
    velocities: Int[np.ndarray, " n"]

    def __post_init__(self):
        intervals = np.asarray(self.intervals, np.float64).reshape(-1, 2)
        pitches = np.asarray(self.pitches, np.int64).reshape(-1)
        velocities = np.asarray(self.velocities, np.int64).reshape(-1)
        if not len(intervals) == len(pitches) == len(velocities):
            raise ValueError(
                "Notes: intervals, pitches and velocities must have equal lengths, "
                f"got {len(intervals)}, {len(pitches)} and {len(velocities)}"
            )
        if not np.isfinite(intervals).all() or (intervals[:, 1] < intervals[:, 0]).any():
            raise ValueError("Notes: intervals must be finite and end no earlier than they begin")
        if ((pitches < 0) | (pitches > 127)).any():
            raise ValueError(
                f"Notes: pitches must lie in 0..127, got {pitches.min()}..{pitches.max()}"
            )
        if ((velocities < 1) | (velocities > 127)).any():
            raise ValueError(
                f"Notes: velocities must lie in 1..127, got {velocities.min()}..{velocities.max()}"
            )
        order = np.lexsort((pitches, intervals[:, 0]))
        object.__setattr__(self, "intervals", intervals[order])
        object.__setattr__(self, "pitches", pitches[order])
        object.__setattr__(self, "velocities", velocities[order])

    def __len__(self) -> int:
        return len(self.pitches)

    def __eq__(self, other) -> bool:
        return isinstance(other, Notes) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("intervals", "pitches", "velocities")
        )

    @classmethod
    def empty(cls) -> "Notes":
        """No notes."""
        return cls(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, pieces: Sequence["Notes"]) -> "Notes":
        """The notes of all pieces."""
        fields = ("intervals", "pitches", "velocities")
        pieces = [cls.empty(), *pieces]
        return cls(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in fields))

    @property
    def onsets(self) -> Float[np.ndarray, " n"]:
        """Onset times in seconds."""
        return self.intervals[:, 0]

    @property
    def offsets(self) -> Float[np.ndarray, " n"]:
        """Offset times in seconds."""
        return self.intervals[:, 1]

    def select(self, keep) -> "Notes":
        """The notes for which the boolean mask or index array `keep` holds."""
        return Notes(self.intervals[keep], self.pitches[keep], self.velocities[keep])

    def without_unisons(self, seconds: float) -> "Notes":
        """Notes of one key that begin within `seconds` of the first of them as one note, which ends
        with the last of them and has the highest velocity: what several players strike together."""
        found = []
        for k in np.lexsort((self.onsets, self.pitches)).tolist():
            note = [*self.intervals[k].tolist(), int(self.pitches[k]), int(self.velocities[k])]
            last = found[-1] if found else None
            if last and last[2] == note[2] and note[0] - last[0] <= seconds:
                last[1], last[3] = max(last[1], note[1]), max(last[3], note[3])
            else:
                found.append(note)
        if not found:
            return self
        onsets, offsets, pitches, velocities = zip(*found, strict=True)
        return Notes(np.stack([onsets, offsets], 1), np.array(pitches), np.array(velocities))

    def window(self, start_seconds: float, end_seconds: float) -> "Notes":
        """The notes that sound in [start, end), cut at its borders, in seconds from its start."""
        is_sounding = (self.onsets < end_seconds) & (self.offsets > start_seconds)
        sounding = self.select(is_sounding)
        cut = np.clip(sounding.intervals, start_seconds, end_seconds) - start_seconds
        return Notes(cut, sounding.pitches, sounding.velocities)

    def transposed(self, semitones: int) -> "Notes":
        """All pitches moved by `semitones`; notes that would leave 0..127 are dropped."""
        moved = self.pitches + semitones
        inside = (moved >= 0) & (moved <= 127)
        return Notes(self.intervals[inside], moved[inside], self.velocities[inside])
