"""Roles and styles that wide songs have beside those of narrow ones."""

from dataclasses import replace
from functools import partial

from data_pipeline.minislakh import bass, chords, lines, roles, styles
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.drums import GROOVES
from data_pipeline.minislakh.styles import Style

SIX_EIGHT = ("X.....x.....", "X...x.X...x.", "X.x.x.X.x.x.", "__x.x.__x.x.", "X...........")

REST = {
    "line": partial(
        lines.melody, register=(58, 84), rate=(0.8, 3), gate=(0.6, 1.0), longest=3, leap=0.2
    ),
    "high_line": partial(lines.melody, register=(67, 92), rate=(1.5, 5), gate=(0.5, 1.0)),
    "pad": partial(chords.pad, register=(52, 79), voices=(1, 2, 3, 4)),
    "stabs": partial(
        chords.block,
        register=(52, 76),
        rate=(0.8, 3),
        voices=(2, 3, 4),
        gate=0.5,
        patterns=chords.STABS,
    ),
    "ostinato": partial(lines.ostinato, register=(55, 84), rate=(2, 5), gate=(0.3, 0.9)),
    "arpeggio": partial(chords.arpeggio, register=(55, 84), rate=(2, 5), gate=0.9),
}
ROLES = {
    "piano": roles.PIANO
    | {
        "six_eight": partial(
            chords.block,
            register=roles.COMP_PIANO,
            rate=(0.8, 3.0),
            voices=(2, 3, 4),
            gate=0.9,
            patterns=SIX_EIGHT,
            left_hand=0.5,
        ),
        "slow": partial(
            chords.block,
            register=roles.COMP_PIANO,
            rate=(0.25, 0.6),
            voices=(1, 2, 3, 4),
            gate=0.95,
            left_hand=0.5,
        ),
        "low_octaves": partial(chords.power, register=(28, 45), rate=(0.6, 3), gate=0.9),
        "slow_lead": partial(
            lines.melody,
            register=(55, 84),
            rate=(0.5, 1.5),
            gate=(0.7, 1.0),
            longest=3,
            widest=3,
        ),
    },
    "guitar": roles.GUITAR
    | {
        "six_eight": partial(
            chords.block,
            register=roles.COMP_GUITAR,
            rate=(0.8, 3.0),
            voices=(3, 4, 5),
            gate=0.9,
            patterns=SIX_EIGHT,
            strum=0.014,
        ),
    },
    "strings": roles.STRING
    | {
        "short_solo": partial(
            lines.melody, register=(55, 88), rate=(2.5, 6), gate=(0.25, 0.5), leap=0.2
        ),
        "low_solo": partial(lines.melody, register=(36, 62), rate=(0.8, 3), gate=(0.6, 1.0)),
        "full_pad": partial(chords.pad, register=(43, 84), voices=(3, 4, 5)),
        "high_pad": partial(chords.pad, register=(64, 91), voices=(1, 2, 3)),
    },
    "rest": REST,
}
# More sparse pianos, driven guitars and held strings than narrow songs have; as in those of others.
MORE = {
    ("piano", "lead"): {"slow_lead": 1.5},
    ("piano", "comp"): {"slow": 1.5, "low_octaves": 0.7},
    ("piano", "texture"): {"slow": 1.0},
    ("guitar", "comp"): {"power": 3},
    ("strings", "lead"): {"line": 4},
    ("strings", "comp"): {"pad": 3, "full_pad": 2},
    ("strings", "texture"): {"pad": 3, "full_pad": 2, "high_pad": 1.5, "low_line": 1.5},
}
JOBS = {
    name: {job: table | MORE.get((name, job), {}) for job, table in jobs.items()}
    for name, jobs in roles.JOBS.items()
} | {"rest": {job: dict.fromkeys(REST, 1) for job in ("lead", "comp", "texture")}}
ANY_ROLE, ANY_GROOVE, ANY_BASS, NEW_SWING = 0.25, 0.2, 0.2, 0.15  # probabilities

STYLES = (
    *styles.STYLES,
    Style(
        "six_eight",
        (84, 165),
        "ballad",
        ("six_eight", "six_eight_ride", "six_eight_soft"),
        ("six_eight", "long"),
        (0.6, 1.0),
        beats=3,
        roles={
            ("piano", "comp"): {"six_eight": 3, "arpeggio": 1},
            ("guitar", "comp"): {"six_eight": 3, "picking": 1},
        },
    ),
    Style(
        "jazz_waltz",
        (110, 180),
        "waltz",
        ("waltz_ride", "waltz_rim"),
        ("walking", "two_beat"),
        (0.6, 0.9),
        beats=3,
        swing=0.64,
    ),
)


def draw_style(dice: Dice) -> Style:
    """A style, at times with another swing, or grooves and basses of other styles."""
    style = dice.pick(STYLES)
    size = 4 * style.beats
    if dice.chance(NEW_SWING):
        style = replace(style, swing=dice.between(0.54, 0.68), swing_sixteenths=dice.chance(0.5))
    if dice.chance(ANY_GROOVE):
        fitting = [
            g for g, patterns in GROOVES.items() if len(next(iter(patterns.values()))) == size
        ]
        style = replace(style, grooves=(dice.pick(fitting),))
    if dice.chance(ANY_BASS):
        fitting = [
            k for k, patterns in bass.PATTERNS.items() if any(len(p) == size for p in patterns)
        ]
        style = replace(style, bass=(dice.pick([*fitting, "walking"]),))
    return style
