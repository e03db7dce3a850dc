"""Bars, sections and one-bar rhythm patterns.

Times are in beats here. A pattern is a string with one letter for each sixteenth: `X` accent, `x`
hit, `o` soft hit, `.` let ring, `_` rest (ends the sound). Sixteen letters make 4/4, twelve make
3/4.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.harmony import Chord

ACCENTS = {"X": 1.0, "x": 0.82, "o": 0.5}


@dataclass(frozen=True)
class Bar:
    """A bar: its first beat in the song, its length, and its chords in equal parts."""

    start: float | int
    beats: int
    chords: tuple[Chord, ...]

    def chord_at(self, beat: float | int) -> Chord:
        """The chord that sounds at a beat of this bar."""
        index = int(beat * len(self.chords) / self.beats + 1e-6)
        return self.chords[min(index, len(self.chords) - 1)]

    def spans(self):
        """(first beat, length, chord) of each chord."""
        length = self.beats / len(self.chords)
        return [(i * length, length, chord) for i, chord in enumerate(self.chords)]


@dataclass(frozen=True)
class Section:
    """Some bars that every part plays in one role.

    Args:
        bars: usually four.
        bpm: quarter notes a minute.
        energy: 0 calm to 1 full; moves velocities and densities.
        next_chord: the chord after the last bar.
        blues: melodies use the blues scale on the tonic `tonic`.
    """

    bars: tuple[Bar, ...]
    bpm: float | int
    energy: float | int
    next_chord: Chord
    tonic: int
    blues: bool

    @property
    def bar_seconds(self) -> float:
        """Seconds in a bar."""
        return self.bars[0].beats * 60 / self.bpm


@lru_cache(1024)
def hits(pattern: str) -> tuple[tuple[float, float, float], ...]:
    """(beat, length in beats, accent) of each hit of a pattern."""
    found = []
    for index, letter in enumerate(pattern):
        if letter in ACCENTS:
            end = index + 1
            while end < len(pattern) and pattern[end] == ".":
                end += 1
            found.append((index / 4, (end - index) / 4, ACCENTS[letter]))
    return tuple(found)


def pick_pattern(dice: Dice, patterns, section: Section, *, rate: float | int) -> str:
    """A pattern for these bars, the likelier the nearer its hits a second are to `rate`."""
    fitting = [pattern for pattern in patterns if len(pattern) == 4 * section.bars[0].beats]
    weights = []
    for pattern in fitting:
        ratio = math.log(max(len(hits(pattern)), 1) / section.bar_seconds / rate)
        weights.append(math.exp(-((ratio / 0.35) ** 2)) + 1e-6)
    return dice.pick(fitting, weights)


def step_near(rate: float | int, bpm: float | int, steps=(0.25, 0.5, 1.0, 2.0)) -> float:
    """The step in beats whose notes a second come nearest to `rate`."""
    return min(steps, key=lambda step: abs(math.log(bpm / 60 / step / rate)))
