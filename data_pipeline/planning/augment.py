"""Augmentations that keep the labels right: polarity, and whole semitones by resampling.

Resampling moves pitch and tempo together, so the notes of a shifted source move by the semitones
and closer together by the same ratio. The sources of a coherent excerpt share one shift; with drums
among them it stays 0, because drums are never shifted (their keys name pieces of the kit) and would
fall out of time. A source also stays as it is where its track is too short, where it would not be
active in the window that is then read, or where a note would leave the 88 keys.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16, Int64

from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.notes import NoteTable, speed_of
from data_pipeline.prepared.tables import Tables

MARGIN = 256  # samples read on both sides, so that the resampler meets no edge


class Augmented(NamedTuple):
    """What becomes of the sources of a batch: shifts in semitones, signs, offsets, notes."""

    shifts: Int64[np.ndarray, "b s"]
    signs: Float32[np.ndarray, "b s"]
    offsets: Int64[np.ndarray, "b s"]
    notes: Int16[np.ndarray, "b s m 3"]


class Augmenter:
    """Augments planned excerpts of one split.

    Args:
        tables: the catalogue's tables.
        note_table: finds their notes.
        config: what is drawn.
    """

    def __init__(self, tables: Tables, note_table: NoteTable, config: PlanConfig):
        self._tables, self._note_table, self._config = tables, note_table, config
        self._can_shift = np.array(
            [INSTRUMENTS[name].may_be_shifted for name in config.instruments]
        )

    @property
    def num_draws(self) -> int:
        """Uniforms needed per excerpt: the joint shift; per slot a shift and a sign."""
        return 1 + 2 * len(self._can_shift)

    def __call__(
        self,
        draws: Float[np.ndarray, "b d"],
        coherent: Bool[np.ndarray, " b"],
        stems: Int64[np.ndarray, "b s"],
        offsets: Int64[np.ndarray, "b s"],
        num_notes: int,
    ) -> Augmented:
        """Shifts, signs and what follows from them, from uniforms in [0, 1)."""
        slots = len(self._can_shift)
        flip = draws[:, 1 + slots :] < self._config.augment_polarity
        signs = np.where(flip, np.float32(-1), np.float32(1))
        joint = coherent[:, None]
        shifts = self._shifts_of(np.where(joint, draws[:, :1], draws[:, 1 : 1 + slots]))
        shifts *= self._can_shift & (~joint | self._can_shift.all())
        moved, possible = self._room(stems, offsets, shifts)
        possible &= self._active(stems, moved, shifts)
        notes = self._note_table.notes_of(
            stems, np.where(possible, moved, offsets), num_notes, shifts=shifts * possible
        )
        pitches, used = notes[..., 2], notes[..., 1] > 0
        outside = (pitches < LOWEST_PITCH) | (pitches >= LOWEST_PITCH + NUM_PITCHES)
        possible &= ~(outside & used).any(-1)
        possible = np.where(joint, possible.all(axis=1, keepdims=True), possible)
        final, moved = shifts * possible, np.where(possible, moved, offsets)
        undone = (shifts != 0) & ~possible
        if undone.any():
            notes[undone] = self._note_table.notes_of(
                stems[undone][:, None], moved[undone][:, None], num_notes
            )[:, 0]
        return Augmented(final, signs, moved, notes)

    def _shifts_of(self, draws: np.ndarray) -> np.ndarray:
        semitones = self._config.augment_semitones
        return (draws * (2 * semitones + 1)).astype(np.int64) - semitones

    def _room(self, stems, offsets, shifts) -> tuple[np.ndarray, np.ndarray]:
        """Offsets at which the window with its margins lies in the track; whether there are any."""
        t = self._tables
        length = read_length(shifts, self._config.num_samples, t.sample_rate_hz)
        latest = t.track_num_samples[t.stem_tracks[stems]] - length - MARGIN
        moved = np.clip(offsets, MARGIN, np.maximum(latest, MARGIN))
        return np.where(shifts == 0, offsets, moved), (shifts == 0) | (latest >= MARGIN)

    def _active(self, stems, offsets, shifts) -> np.ndarray:
        """The rule of `activity`, for the window that is read."""
        t = self._tables
        length = read_length(shifts, self._config.num_samples, t.sample_rate_hz)
        span = np.maximum(length // t.rms_hop, 1)[..., None]
        step = np.arange(span.max())
        end = t.rms_start[stems + 1][..., None]
        index = (t.rms_start[stems] + offsets // t.rms_hop)[..., None] + step
        inside = (step < span) & (index < end)
        power = 10.0 ** (t.rms_db[np.minimum(index, end - 1)] / np.float64(10))
        mean = (power * inside).sum(-1) / span[..., 0]
        return (shifts == 0) | (mean > 10.0 ** (self._config.active_rms_db / 10))


def read_length(
    shifts: Int[np.ndarray, "*batch"], num_samples: int, sample_rate_hz: int
) -> Int64[np.ndarray, "*batch"]:
    """Samples from which `num_samples` shifted ones are made, without the margins."""
    return np.asarray(np.ceil(num_samples * speed_of(shifts, sample_rate_hz)).astype(np.int64))


def notes_of_window(
    notes: Notes, begin: float, seconds: float, shift: int, sample_rate_hz: int
) -> Notes:
    """The notes that sound in a window of `seconds` from `begin` on, shifted like its audio.

    Times count from the start of the window: a note that began before it has a negative onset. Ends
    are cut at its end.
    """
    speed = float(speed_of(np.array(shift), sample_rate_hz))
    end = begin + seconds * speed
    sounding = notes.select((notes.onsets < end) & (notes.offsets > begin))
    intervals = (np.minimum(sounding.intervals, end) - begin) / speed
    return Notes(intervals, sounding.pitches + shift, sounding.velocities)
