"""Bass lines: one-bar patterns and walking.

Pattern letters, one for each sixteenth: `R` root, `8` octave above, `5` fifth, `3` third, `a` the
half or whole step below or above the next root, `.` let ring, `_` rest.
"""

from functools import lru_cache

from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.harmony import near
from data_pipeline.minislakh.rhythm import Section

LOW, HIGH = 28, 52

PATTERNS = {
    "long": (
        "R...............",
        "R.......R.......",
        "R.......5.......",
        "R...........5...",
        "R...........",
        "R.......5...",
    ),
    "rooted": (
        "R.....R.R.......",
        "R.....R.R...5...",
        "R...R...R...R...",
        "R.....R...R.a...",
        "R..R..R.R..R..5.",
        "R...R...R...",
        "R.....R.a...",
    ),
    "eighths": ("R.R.R.R.R.R.R.R.", "R.R.R.R.R.R.5.a.", "R.R.R.R.8.R.5.R.", "R.R.R.R.R.R."),
    "two_beat": (
        "R.......5.......",
        "R...__..5...__..",
        "R.......5...a...",
        "R...5...R...5...",
        "R.......5...",
        "R...5...3...",
    ),
    "funk": (
        "R.__..8.__R_.R__",
        "R_.R__8_R___5_a_",
        "R__R__R___8_R_R_",
        "R___..R_R__8_5a_",
        "RR__8__R__R_5___",
    ),
    "octaves": ("R_8_R_8_R_8_R_8_", "R...8_R.R...8_5.", "R_RR8_R_R_RR8_R_"),
    "bossa": ("R.....55......R.", "R.....5.5.....R.", "R...__555...__a."),
    "tumbao": ("R.....5.....8...", "______5.....R...", "R_____5.____8...", "R..5..8.R..5..a."),
    "reggae": ("R_____R_R___5___", "____R.R.__3.5___", "R.___.3_5___8_5_", "R.R.__5.8.__R___"),
    "syncopated": ("R..R..R...R.R...", "R..R..5...a.....", "R.....R...5.R.a."),
    "six_eight": ("R.....5.....", "R...R.R...5.", "R.....R...8.", "R.R.R.5.5.5."),
    "pedal": ("R.R.R.RRR.R.R.RR", "RRRRRRRRRRRRRRRR", "R_RRR_RRR_RRR_RR", "R.RRR.RRR.RR"),
}


@lru_cache(1024)
def parse(pattern: str) -> tuple[tuple[float, float, str], ...]:
    """(beat, length, letter) of each note of a pattern."""
    found = []
    for index, letter in enumerate(pattern):
        if letter in "R853a":
            end = index + 1
            while end < len(pattern) and pattern[end] == ".":
                end += 1
            found.append((index / 4, (end - index) / 4, letter))
    return tuple(found)


def play(
    section: Section, dice: Dice, kind: str, *, gate: float | int, centre: float | int
) -> list[tuple]:
    """The notes of a section as (beat, length, pitch, strength)."""
    if kind == "walking":
        return _walk(section, dice, gate, centre)
    beats = section.bars[0].beats
    fitting = [p for p in PATTERNS[kind] if len(p) == 4 * beats]
    main, other = dice.pick(fitting), dice.pick(fitting)
    events = []
    for index, bar in enumerate(section.bars):
        following = _next_root(section, index)
        for beat, length, letter in parse(other if index % 4 == 3 else main):
            chord = bar.chord_at(beat)
            root = near(chord.root, centre)
            if letter == "a":
                pitch = near(following, root) + dice.pick((-1, 1, -2, 2, -5))
            else:
                pitch = root + _interval(chord, letter)
                if letter in "53" and pitch > centre + 7 and dice.chance(0.6):
                    pitch -= 12
            strength = 0.95 if beat == 0 else 0.8 if beat % 1 == 0 else 0.72
            events.append((bar.start + beat, length * gate, _inside(pitch), strength))
        events = _restate(events, bar, gate, centre)
    return events


def _restate(events, bar, gate, centre):
    """A new chord inside the bar is played from its first beat on."""
    for offset, _, chord in bar.spans()[1:]:
        start = bar.start + offset
        if any(abs(event[0] - start) < 0.2 for event in events):
            continue
        events = [
            (e[0], min(e[1], max(start - e[0], 0.1)) if e[0] < start else e[1], *e[2:])
            for e in events
        ]
        events.append((start, gate, _inside(near(chord.root, centre)), 0.85))
    return events


def _walk(section: Section, dice: Dice, gate: float | int, centre: float | int) -> list[tuple]:
    events, pitch = [], near(section.bars[0].chords[0].root, centre)
    for index, bar in enumerate(section.bars):
        following = _next_root(section, index)
        for beat in range(bar.beats):
            chord = bar.chord_at(beat)
            changes = any(abs(offset - beat) < 0.01 for offset, _, _ in bar.spans())
            if changes:
                pitch = near(chord.root, 0.6 * pitch + 0.4 * centre)
            elif beat == bar.beats - 1:
                target = near(following, pitch)
                pitch = target + dice.pick((-1, 1, 2, -2))
            else:
                pitch = _step(chord, pitch, dice, centre)
            events.append((bar.start + beat, gate, _inside(pitch), 0.9 if beat % 2 else 0.8))
            if dice.chance(0.12):
                events.append((bar.start + beat + 0.5, 0.4 * gate, _inside(pitch), 0.6))
    return events


def _step(chord, pitch: int, dice: Dice, centre: float | int) -> int:
    """A chord or scale tone within a fourth of `pitch`, drawn back to the centre."""
    choices = [p for p in range(pitch - 5, pitch + 6) if p != pitch and p % 12 in chord.scale]
    weights = [(2.0 if p % 12 in chord.tones else 1.0) / (1 + abs(p - centre) / 4) for p in choices]
    return dice.pick(choices, weights)


def _interval(chord, letter: str) -> int:
    if letter in "R8":
        return 12 * (letter == "8")
    return ((chord.fifth if letter == "5" else chord.third) - chord.root) % 12


def _next_root(section: Section, index: int) -> int:
    if index + 1 < len(section.bars):
        return section.bars[index + 1].chords[0].root
    return section.next_chord.root


def _inside(pitch: int) -> int:
    while pitch < LOW:
        pitch += 12
    while pitch > HIGH:
        pitch -= 12
    return pitch
