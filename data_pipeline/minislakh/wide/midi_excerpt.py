"""Passages of MIDI files as wide songs: the notes of others, our sounds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cerberus_jax.notes import Notes
from data_pipeline.instruments import instrument_of
from data_pipeline.io.midi import Part
from data_pipeline.minislakh.composer import Song
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.midi_song import MidiSong, read_midi_song
from data_pipeline.minislakh.programs import INSTRUMENTS

TRIES = 4  # passages of which the one with the most instruments is taken
FEWEST_NOTES = 3  # of a part that is kept


def midi_excerpt(path: str | Path, *, seed: int, seconds: float | int, rest: float | int) -> Song:
    """A passage of a MIDI file; a wide song as `compose_wide` gives them.

    Args:
        path: a MIDI file.
        seed: of the choice of the passage.
        seconds: its length.
        rest: probability that instruments beside the five are kept.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not MIDI or has no such passage.
    """
    song, dice = read_midi_song(path), Dice(seed, "passage")
    starts = passage_starts(path, song, seconds)
    keeps_rest = dice.chance(rest)
    passages = [_cut(song.parts, dice.pick(starts), seconds, keeps_rest) for _ in range(TRIES)]
    parts = max(passages, key=lambda passage: len({part.name.split(" ")[0] for part in passage}))
    return Song(parts, float(seconds), 120.0, "midi", "unknown")


def passage_starts(
    path: str | Path, song: MidiSong, seconds: float | int
) -> Float[np.ndarray, " k"]:
    """Where passages may begin: at onsets from which one of the five has FEWEST_NOTES.

    Args:
        path: the song's file, for the message.
        song: with its notes.
        seconds: length of a passage; none reaches beyond the song if that is as long.

    Raises:
        ValueError: if no passage has as many.
    """
    onsets = [part.notes.onsets for part in song.parts if _class_of(part) != "rest"]
    ahead = FEWEST_NOTES - 1
    starts = [own[:-ahead][own[ahead:] < own[:-ahead] + seconds] for own in onsets]
    found = np.concatenate([np.zeros(0), *starts])
    if not len(found):
        raise ValueError(
            f"{path}: no passage of {seconds:g} s has {FEWEST_NOTES} notes of one of "
            f"{', '.join(INSTRUMENTS)}"
        )
    return np.minimum(found, max(song.seconds - seconds, 0.0))


def _class_of(part: Part) -> str:
    name = instrument_of(part.program, is_drum=part.is_drum)
    return name if name in INSTRUMENTS else "rest"


def _cut(parts: list[Part], start: float, seconds: float | int, keeps_rest: bool) -> list[Part]:
    """What begins within the passage, by parts that are named after their instruments."""
    found, count = [], {}
    for part in parts:
        name = _class_of(part)
        inside = (part.notes.onsets >= start) & (part.notes.onsets < start + seconds)
        notes = part.notes.select(inside)
        if len(notes) < FEWEST_NOTES or (name == "rest" and not keeps_rest):
            continue
        intervals = np.minimum(notes.intervals - start, seconds)
        count[name] = count.get(name, 0) + 1
        label = name if count[name] == 1 else f"{name} {count[name]}"
        notes = Notes(intervals, notes.pitches, notes.velocities)
        found.append(replace(part, name=label, notes=notes))
    return found
