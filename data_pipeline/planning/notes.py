"""The notes that sound in many windows at once, found by binary search in flat tables.

Searching for the first sounding note needs the running maximum of the offsets: a long note may
outlast later ones. All stems are searched in one call, because a stem's number stands in the high
bits of every time.
"""

import functools

import numpy as np
from jaxtyping import Float, Int, Int16

from cerberus_jax.frames import FrameGrid
from data_pipeline.planning.rolls import note_frames
from data_pipeline.prepared.tables import Tables

_TIME_BITS = 44  # microseconds: half a year


class NoteTable:
    """Search over all stems of a catalogue.

    Args:
        tables: the catalogue's tables.
        grid: the frames on which notes are placed.
        num_samples: length of every window.
    """

    def __init__(self, tables: Tables, grid: FrameGrid, num_samples: int):
        self._tables, self._grid = tables, grid
        self._num_frames = grid.num_frames(num_samples)
        self._onset_keys, self._last_keys = _search_keys(tables)

    def notes_of(
        self,
        stems: Int[np.ndarray, "b s"],
        offsets: Int[np.ndarray, "b s"],
        num_notes: int,
        *,
        shifts: Int[np.ndarray, "b s"] | None = None,
    ) -> Int16[np.ndarray, "b s m 3"]:
        """(first frame, end frame, pitch) of what sounds in the windows that start at `offsets`;
        the first frame of a note that began before its window is -1.

        Args:
            stems: rows of the catalogue.
            offsets: first samples, counted from the start of the track.
            num_notes: rows per window.
            shifts: semitones by which each window is shifted by resampling.
        """
        t, grid = self._tables, self._grid
        flat = stems.ravel()
        shifts = np.zeros(len(flat), np.int64) if shifts is None else shifts.ravel()
        speed = speed_of(shifts, t.sample_rate_hz)
        begin = offsets.ravel() / t.sample_rate_hz
        margin = speed / grid.frame_rate_hz
        # Keys before a stem's first note or after its last may fall into another stem: clip.
        low = np.searchsorted(self._last_keys, _key(flat, begin - margin))
        high = np.searchsorted(
            self._onset_keys, _key(flat, begin + self._num_frames * margin), side="right"
        )
        low = np.maximum(low, t.note_start[flat])
        high = np.maximum(np.minimum(high, t.note_start[flat + 1]), low)
        window, index = _ranges(low, high)
        onsets = (t.onsets[index] - begin[window]) / speed[window]
        offsets = (t.offsets[index] - begin[window]) / speed[window]
        first, end = note_frames(onsets, offsets, grid)
        inside = (end > 0) & (first < self._num_frames)
        window, index = window[inside], index[inside]
        first = np.maximum(first[inside], -1)
        end = np.minimum(end[inside], self._num_frames)
        counts = np.bincount(window, minlength=len(flat))
        row = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts)
        table = np.zeros((len(flat), num_notes, 3), np.int16)
        table[window, row] = np.stack([first, end, t.pitches[index] + shifts[window]], axis=1)
        return table.reshape(*stems.shape, num_notes, 3)

    def max_notes(self, stems: Int[np.ndarray, " u"], *, max_semitones: int = 0) -> int:
        """A bound on the notes in any window of these stems, exact up to a frame; 0 without notes.

        Args:
            stems: rows of the catalogue.
            max_semitones: windows are shifted by up to this.
        """
        t = self._tables
        speed = float(speed_of(np.array(max_semitones), t.sample_rate_hz))
        span = (self._num_frames + 1) / self._grid.frame_rate_hz * speed
        bound = 0
        for stem in stems.tolist():
            rows = slice(t.note_start[stem], t.note_start[stem + 1])
            onsets, ends = t.onsets[rows], np.sort(t.offsets[rows])
            begun = np.searchsorted(onsets, onsets, side="right")
            over = np.searchsorted(ends, onsets - span)
            bound = max(bound, int((begun - over).max(initial=0)))
        return bound


def stretched_rate(
    shifts: Int[np.ndarray, "*batch"], sample_rate_hz: int
) -> Int[np.ndarray, "*batch"]:
    """The rate that PCM is said to have when it is resampled for a shift by semitones."""
    return np.asarray(np.rint(sample_rate_hz * 2.0 ** (shifts / 12)).astype(np.int64))


def speed_of(shifts: Int[np.ndarray, "*batch"], sample_rate_hz: int) -> Float[np.ndarray, "*batch"]:
    """Seconds of a track that one second of a window shifted by semitones is made of."""
    return np.asarray(stretched_rate(shifts, sample_rate_hz) / sample_rate_hz)


@functools.lru_cache(maxsize=2)
def _search_keys(tables: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Sorted keys of the onsets, and of the latest offset so far; shared by all planners."""
    counts = np.diff(tables.note_start)
    stems = np.repeat(np.arange(len(counts)), counts)
    latest = np.zeros(len(stems))
    for first, end in zip(tables.note_start[:-1], tables.note_start[1:], strict=True):
        latest[first:end] = np.maximum.accumulate(tables.offsets[first:end])
    return _key(stems, tables.onsets), _key(stems, latest)


def _key(stems: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    return (stems.astype(np.int64) << _TIME_BITS) + np.maximum(seconds * 1e6, -1).astype(np.int64)


def _ranges(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All integers of the ranges [low[i], high[i]), and the i of each."""
    counts = high - low
    window = np.repeat(np.arange(len(low)), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return window, np.arange(len(window)) - before + low[window]
