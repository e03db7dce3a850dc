"""Notes and envelopes of a song that comes in pieces, in memory that hardly grows with the song.

Decoding looks a few frames around a note and no further, so notes that ended a while ago are final;
the roll is held from the first note that is not. A key held for a minute is cut there, or the roll
would be held, and decoded again for every piece, from where it was struck.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes

_GUARD_SECONDS = 2.0  # more than any decoder looks around a note
_PIECE_SECONDS = 20.0
LONGEST_SECONDS = 60.0  # of a note that is certain to stay in one piece
_NUM_PITCHES = 128


class NoteStream:
    """Collects rolls and decodes them as they come.

    The notes are those of the whole roll at once, but for notes longer than LONGEST_SECONDS. They
    come in parts, none of them shorter except the last, which begins anew: it is missing where it
    no longer reaches the threshold.

    Args:
        decode: rolls [r t p] of what sounds, or these and those of onsets -> notes by instrument.
        grid: the frames of the rolls.
    """

    def __init__(self, decode: Callable[..., dict[str, Notes]], grid: FrameGrid):
        self._decode, self._grid = decode, grid
        self._pieces = []  # of the roll, as far as it is still needed
        self._first, self._seen, self._waiting = 0, 0, 0
        self._final_until = -1.0  # the last frame at which notes have been taken
        self._kept_from = -math.inf  # the frame before which no note begins that is still to come
        self._guard = math.ceil(_GUARD_SECONDS * grid.frame_rate_hz)
        self._notes = {}
        self._cut = {}  # by instrument: for every pitch the frame at which its note was cut last

    def add(
        self,
        rolls: Float[np.ndarray, "r t p"],
        onset_rolls: Float[np.ndarray, "r t p"] | None = None,
    ) -> None:
        """The next frames; with rolls of onsets always or never."""
        self._pieces.append((rolls,) if onset_rolls is None else (rolls, onset_rolls))
        self._seen += rolls.shape[1]
        self._waiting += rolls.shape[1]
        if self._waiting >= _PIECE_SECONDS * self._grid.frame_rate_hz:
            self._take(self._seen - self._guard)

    def finish(self) -> dict[str, Notes]:
        """All notes of the song."""
        self._take(math.inf)
        return {name: Notes.joined(pieces) for name, pieces in self._notes.items()}

    def _take(self, until: float | int):
        """Takes the notes that end by the frame `until` and drops the frames that no other needs.

        Frames are compared, not seconds: those of one note differ in their last bit from piece to
        piece. What seems to begin before all notes that are still to come is none: the roll has
        been cut in what sounds there without being a note.
        """
        rate = self._grid.frame_rate_hz
        pieces = zip(*self._pieces or [(np.zeros((0, 0, 0)),)], strict=True)
        rolls = [np.concatenate(of_roll, axis=1) for of_roll in pieces]
        keep_from = until
        for name, notes in self._decode(*rolls).items():
            cut = self._cut.setdefault(name, np.zeros(_NUM_PITCHES))
            begins = np.round(notes.onsets * rate, 3) + self._first
            rest = begins < cut[notes.pitches]  # of a note of which a part has been taken
            begins = np.maximum(begins, cut[notes.pitches])
            to_come = begins > self._kept_from - 0.5
            notes, begins, rest = notes.select(to_come), begins[to_come], rest[to_come]
            ends = np.round(notes.offsets * rate, 3) + self._first
            onsets, offsets = (notes.intervals + self._first / rate).T
            onsets = np.where(rest, begins / rate, onsets)
            lasting = ends > until
            too_long = lasting & (begins < until - LONGEST_SECONDS * rate)
            offsets = np.where(too_long, until / rate, offsets)
            new = (ends > self._final_until) & ~lasting | too_long
            intervals = np.stack([onsets, offsets], axis=1)
            self._notes.setdefault(name, []).append(
                Notes(intervals[new], notes.pitches[new], notes.velocities[new])
            )
            cut[notes.pitches[too_long]] = until
            keep_from = min(keep_from, begins[lasting & ~too_long].min(initial=math.inf))
        self._final_until, self._waiting = until, 0
        self._kept_from = keep_from
        if math.isfinite(keep_from):
            first = max(int(keep_from) - self._guard, self._first)
            self._pieces = [tuple(roll[:, first - self._first :] for roll in rolls)]
            self._first = first


class EnvelopeStream:
    """decoding.frame_envelope of sources that come in pieces: one number per frame is held.

    Args:
        sample_rate_hz: of the sources.
        grid: the frames.
    """

    def __init__(self, sample_rate_hz: int, grid: FrameGrid):
        self._rate, self._grid = sample_rate_hz, grid
        self._num_samples = 0
        self._power = 0.0  # of all samples so far, [s]
        self._at_middles = []  # power up to the boundaries of the frames, pieces of [s k]

    def add(self, sources: Float[np.ndarray, "s c n"]) -> None:
        """The next samples."""
        power = np.cumsum(np.mean(np.square(sources, dtype=np.float64), axis=1), axis=1)
        power = np.concatenate([np.zeros((len(power), 1)), power], axis=1)
        power += np.reshape(self._power, (-1, 1))
        known = sum(piece.shape[1] for piece in self._at_middles)
        end = self._num_samples + sources.shape[2]
        middles = _middles(known, int(end * self._grid.frame_rate_hz / self._rate) + 2, self)
        middles = middles[middles <= end]
        self._at_middles.append(power[:, middles - self._num_samples])
        self._power, self._num_samples = power[:, -1], end

    def finish(self) -> Float[np.ndarray, "s t"]:
        """Root mean square of each source in each frame of the song."""
        seconds = self._num_samples / self._rate
        num_frames = self._grid.num_frames(round(seconds * self._grid.sample_rate_hz))
        power = np.concatenate(self._at_middles, axis=1)[:, : num_frames + 1]
        middles = np.minimum(_middles(0, num_frames + 1, self), self._num_samples)
        missing = num_frames + 1 - power.shape[1]
        power = np.concatenate([power, np.repeat(self._power[:, None], missing, axis=1)], axis=1)
        return np.sqrt(np.diff(power).clip(0) / np.maximum(np.diff(middles), 1))


def _middles(first: int, last: int, stream: EnvelopeStream) -> np.ndarray:
    """First samples of frames first..last - 1, as in decoding.frame_envelope."""
    frames = np.arange(first, max(last, first))
    return np.rint(frames * stream._rate / stream._grid.frame_rate_hz).astype(np.int64)
