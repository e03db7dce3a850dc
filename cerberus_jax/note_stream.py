"""Notes of a song whose rolls come in pieces, in memory that does not grow with the song.

Decoding looks a few frames around a note and no further, so notes that ended a while ago are final;
the roll is kept from the first note that is not.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes

_GUARD_SECONDS = 2.0  # more than any decoder looks around a note
_PIECE_SECONDS = 20.0


class NoteStream:
    """Collects rolls and decodes them as they come.

    Args:
        decode: rolls [s t p] -> notes by instrument.
        grid: the frames of the rolls.
    """

    def __init__(self, decode: Callable[[np.ndarray], dict[str, Notes]], grid: FrameGrid):
        self._decode, self._grid = decode, grid
        self._pieces = []  # of the roll that is kept
        self._first, self._seen, self._waiting = 0, 0, 0
        self._final_until = -np.inf
        self._found = {}

    def add(self, rolls: Float[np.ndarray, "s t p"]) -> None:
        """The next frames."""
        self._pieces.append(rolls)
        self._seen += rolls.shape[1]
        self._waiting += rolls.shape[1]
        if self._waiting >= _PIECE_SECONDS * self._grid.frame_rate_hz:
            self._take(self._seen / self._grid.frame_rate_hz - _GUARD_SECONDS)

    def finish(self) -> dict[str, Notes]:
        """All notes of the song."""
        self._take(np.inf)
        return {name: _joined(parts) for name, parts in self._found.items()}

    def _take(self, until: float):
        """Takes the notes that end by `until` and drops the frames that no other note needs."""
        rate = self._grid.frame_rate_hz
        roll = np.concatenate(self._pieces, axis=1) if self._pieces else np.zeros((0, 0, 0))
        shift = self._first / rate
        keep_from = until
        for name, notes in self._decode(roll).items():
            ends = notes.offsets + shift
            new = (ends > self._final_until) & (ends <= until)
            open_notes = notes.onsets[ends > until] + shift
            keep_from = min(keep_from, open_notes.min(initial=np.inf))
            final = notes.select(new)
            moved = Notes(final.intervals + shift, final.pitches, final.velocities)
            self._found.setdefault(name, []).append(moved)
        self._final_until, self._waiting = until, 0
        if np.isfinite(keep_from):
            first = max(int((keep_from - _GUARD_SECONDS) * rate), self._first)
            self._pieces = [roll[:, first - self._first :]]
            self._first = first


def _joined(parts: list[Notes]) -> Notes:
    fields = ("intervals", "pitches", "velocities")
    return Notes(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
