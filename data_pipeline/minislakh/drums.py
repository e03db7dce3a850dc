"""Drum grooves, fills and crashes.

A groove is a dict from drum to one-bar pattern (see rhythm.py; `o` is a ghost note). The hits are a
few milliseconds long, as in Slakh: a drum's sound does not end with its note.
"""

from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.rhythm import Section, hits

KICK, RIM, SNARE, CLAP = 36, 37, 38, 39
LOW_TOM, MID_TOM, HIGH_TOM, FLOOR_TOM = 45, 47, 50, 41
HAT, PEDAL, OPEN_HAT, CRASH, RIDE, BELL = 42, 44, 46, 49, 51, 53
TAMBOURINE, COWBELL, CABASA, MARACAS, CLAVES = 54, 56, 69, 70, 75
HIGH_CONGA, LOW_CONGA = 62, 64
HIT_SECONDS = 0.006

GROOVES = {
    "rock": {KICK: "X.....x.X.......", SNARE: "....X.......X...", HAT: "X.x.X.x.X.x.X.x."},
    "rock_open": {
        KICK: "X..x....X.x.....",
        SNARE: "....X..o.o..X..o",
        OPEN_HAT: "X...x...X...x...",
    },
    "rock_ride": {KICK: "X.x.....X.x.....", SNARE: "....X.......X..o", RIDE: "X.x.X.x.X.x.X.x."},
    "half_time": {KICK: "X.....x...x.....", SNARE: "........X......o", HAT: "X.x.x.x.X.x.x.x."},
    "ballad": {KICK: "X.........x.....", RIM: "....x.......x...", HAT: "x.o.x.o.x.o.x.o."},
    "ballad_snare": {KICK: "X.....x.x.......", SNARE: "....x.......x...", HAT: "xooxxoooxoo.xoox"},
    "punk": {KICK: "X...X...X...X...", SNARE: "..X...X...X...X.", HAT: "X.x.X.x.X.x.X.x."},
    "metal": {
        KICK: "XxX.XxX.XxX.XxX.",
        SNARE: "....X.......X...",
        CRASH: "X...............",
        RIDE: "X...X...X...X...",
    },
    "swing": {
        RIDE: "X...x.xX...x.x..",
        PEDAL: "....x.......x...",
        KICK: "o...o...o...o...",
        SNARE: "......o........o",
    },
    "swing_ride": {
        RIDE: "X...X.x.X...X.x.",
        PEDAL: "....x.......x...",
        KICK: "o.......o.....o.",
        SNARE: "..o.......o...o.",
    },
    "brushes": {SNARE: "x.o.X.o.x.o.X.o.", PEDAL: "....x.......x...", KICK: "x.......o......."},
    "shuffle": {KICK: "X.....x.X.....x.", SNARE: "....X.......X.o.", HAT: "X.x.X.x.X.x.X.x."},
    "shuffle_ride": {KICK: "X.......X.....x.", SNARE: "..o.X.o...o.X.o.", RIDE: "X.x.X.x.X.x.X.x."},
    "bossa": {KICK: "X.....xx......x.", RIM: "x.....x.....x...", HAT: "x.x.x.x.x.x.x.x."},
    "bossa_cabasa": {KICK: "X.....x.X.....x.", RIM: "x.....x.....x...", CABASA: "XoxoXoxoXoxoXoxo"},
    "funk": {KICK: "X.x....x..x..x..", SNARE: "....X..o.o..X..o", HAT: "X.xxX.x.X.xxX.x."},
    "funk_16": {
        KICK: "X..x..x...x.....",
        SNARE: "....X..o.o.oX...",
        HAT: "XoxoXoxoXoxoXoo.",
        OPEN_HAT: "..............x.",
    },
    "disco": {
        KICK: "X...X...X...X...",
        SNARE: "....X.......X...",
        HAT: "X...X...X...X...",
        OPEN_HAT: "..x...x...x...x.",
    },
    "disco_clap": {KICK: "X...X...X...X...", CLAP: "....X.......X...", HAT: "XoxoXoxoXoxoXoxo"},
    "train": {KICK: "X...x...X...x...", SNARE: "xoXoxoXoxoXoxoXo"},
    "country": {
        KICK: "X.......X.......",
        SNARE: "....X.......X...",
        HAT: "x.x.x.x.x.x.x.x.",
        TAMBOURINE: "....x.......x...",
    },
    "one_drop": {KICK: "........X.......", RIM: "........X.......", HAT: "x.x.x.x.x.x.x.xo"},
    "steppers": {KICK: "X...X...X...X...", RIM: "........X.....o.", HAT: "X.xox.xoX.xox.xo"},
    "salsa": {
        COWBELL: "X.x.X.x.X.x.X.x.",
        HIGH_CONGA: "....x.......x...",
        LOW_CONGA: "......xx......xx",
        KICK: "......x.......x.",
    },
    "cumbia": {
        KICK: "X.......X.......",
        RIM: "....x.......x...",
        MARACAS: "X.xxX.xxX.xxX.xx",
        LOW_CONGA: "......xx......xx",
    },
    "songo": {
        KICK: "......x.......x.",
        SNARE: "..o..x...o...x..",
        CLAVES: "x..x..x...x.x...",
        CABASA: "XoxoXoxoXoxoXoxo",
    },
    "toms": {
        KICK: "X.......X.......",
        FLOOR_TOM: "X..x..x.X..x..x.",
        LOW_TOM: "....X.......X.x.",
        RIDE: "X...x...x...x...",
    },
    "march": {KICK: "X.......X.......", SNARE: "x..oX.oox..oXooo", CRASH: "X..............."},
    "waltz": {KICK: "X...........", SNARE: "....x...x...", HAT: "x...x.o.x.o."},
    "waltz_ride": {
        RIDE: "X...x.x.x...",
        PEDAL: "....x...x...",
        KICK: "x...........",
        SNARE: "......o...o.",
    },
    "six_eight": {KICK: "X.........x.", SNARE: "......X.....", HAT: "X.x.x.X.x.x."},
    "six_eight_ride": {KICK: "X...x.....x.", SNARE: "......X...o.", RIDE: "X.x.x.X.x.x."},
    "six_eight_soft": {KICK: "x.....o.....", RIM: "......x.....", HAT: "x.o.o.x.o.o."},
    "waltz_rim": {
        KICK: "X.......x...",
        RIM: "....x.......",
        HAT: "x.x.x.x.x.x.",
        MARACAS: "X.x.X.x.X.x.",
    },
}

TIMEKEEPERS = (HAT, OPEN_HAT, RIDE, CABASA, MARACAS, COWBELL)
FILLS = ("X.x.x.x.", "XxxxXxxx", "..X.x.xx", "X..X..X.", "xoXoxxXx", "....XxXx")


def play(section: Section, dice: Dice, groove: str, *, fill: float | int) -> list[tuple]:
    """The hits of a section as (beat, length, pitch, strength), perhaps with a fill at its end."""
    patterns = GROOVES[groove]
    timekeeper = next((drum for drum in TIMEKEEPERS if drum in patterns), None)
    swap = {}
    if timekeeper in (HAT, RIDE) and section.energy > 0.75 and dice.chance(0.4):
        swap = {timekeeper: RIDE if timekeeper == HAT else OPEN_HAT}
    length = HIT_SECONDS * section.bpm / 60
    fills = dice.chance(fill)
    events = []
    for index, bar in enumerate(section.bars):
        end = bar.beats
        if fills and index == len(section.bars) - 1:
            end -= dice.pick((1, 2), (1.0, section.energy + 0.2))
            events += _fill(bar.start + end, bar.beats - end, length, dice)
        for drum, pattern in patterns.items():
            for beat, _, accent in hits(pattern):
                if beat >= end or (accent < 0.6 and dice.chance(0.25)):
                    continue
                if drum == CRASH and index % 2:
                    continue
                events.append((bar.start + beat, length, swap.get(drum, drum), accent))
        if KICK in patterns and dice.chance(0.25):
            events.append((bar.start + end - 0.5, length, KICK, 0.7))
    if dice.chance(0.3 + 0.5 * section.energy):
        events.append((section.bars[0].start, length, CRASH, 0.9))
    return once(events)


def _fill(start: float | int, beats: int, length: float | int, dice: Dice) -> list[tuple]:
    pattern = (dice.pick(FILLS) + dice.pick(FILLS))[: 4 * beats]
    drums = dice.pick(
        ((SNARE,), (SNARE, HIGH_TOM, MID_TOM, FLOOR_TOM), (HIGH_TOM, LOW_TOM), (SNARE, FLOOR_TOM))
    )
    events = [(start, length, KICK, 0.8)]
    for beat, _, accent in hits(pattern):
        drum = drums[int(beat / beats * len(drums))]
        events.append((start + beat, length, drum, accent * (0.8 + 0.2 * beat / beats)))
    return events


def once(events: list[tuple]) -> list[tuple]:
    """Every drum at most once at a time: the strongest hit wins."""
    best = {}
    for event in events:
        key = (round(event[0] * 48), event[2])
        if key not in best or best[key][3] < event[3]:
            best[key] = event
    return list(best.values())
