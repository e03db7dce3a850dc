"""A MIDI file as a song to render: its sounding parts, and where it ends.

A single stray note, hours after the last, would ask for gigabytes of silence.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part, read_midi

MAX_SECONDS = 3600.0
MAX_REST_SECONDS = 300.0  # without an onset; a song that rests longer is over
TAIL_SECONDS = 1.0


@dataclass(frozen=True)
class MidiSong:
    """A song of a MIDI file.

    Args:
        parts: those with notes.
        seconds: its length.
        doubt: what was left out, '' if nothing was.
    """

    parts: list[Part]
    seconds: float
    doubt: str = ""


def read_midi_song(path: str | Path) -> MidiSong:
    """The song of a MIDI file, up to its first rest of MAX_REST_SECONDS, or MAX_SECONDS.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not MIDI, holds no notes, or most of its notes lie behind that end.
    """
    parts = [part for part in read_midi(path, sustain_pedal=True) if len(part.notes)]
    if not parts:
        raise ValueError(f"{path}: holds no notes")
    onsets = np.sort(np.concatenate([part.notes.onsets for part in parts]))
    num_inside = _num_inside(onsets)
    num_left_out = len(onsets) - num_inside
    hours = onsets[-1] / 3600
    if num_left_out > num_inside:
        raise ValueError(
            f"{path}: {num_left_out} of {len(onsets)} notes begin after a rest of more than "
            f"{MAX_REST_SECONDS:.0f} s or beyond {MAX_SECONDS:.0f} s, the last after "
            f"{hours:.1f} hours"
        )
    last_onset = onsets[num_inside - 1]
    end = min(last_onset + MAX_REST_SECONDS, MAX_SECONDS)
    parts = [replace(part, notes=_until(last_onset, end, part.notes)) for part in parts]
    parts = [part for part in parts if len(part.notes)]
    seconds = max(float(part.notes.offsets.max()) for part in parts) + TAIL_SECONDS
    doubt = ""
    if num_left_out:
        doubt = (
            f"{num_left_out} of {len(onsets)} notes left out, which come after a rest of more than "
            f"{MAX_REST_SECONDS:.0f} s or beyond {MAX_SECONDS:.0f} s, the last after "
            f"{hours:.1f} hours; the song ends at {seconds:.1f} s"
        )
    return MidiSong(parts, seconds, doubt)


def _num_inside(onsets: np.ndarray) -> int:
    """How many of the sorted onsets belong to the song."""
    rests = np.diff(onsets, prepend=0.0)
    beyond = (rests > MAX_REST_SECONDS) | (onsets >= MAX_SECONDS)
    return int(beyond.argmax()) if beyond.any() else len(onsets)


def _until(last_onset: float, end: float, notes: Notes) -> Notes:
    notes = notes.select(notes.onsets <= last_onset)
    return Notes(np.minimum(notes.intervals, end), notes.pitches, notes.velocities)
