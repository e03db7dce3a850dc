"""Roles: what an instrument can do in a section, as calls of chords.py and lines.py.

A role is named after its job and its manner; the tables say which roles each instrument takes in
the jobs `lead`, `comp` and `texture`, and how likely. Rates are in chords or notes a second, chosen
so that the songs are as dense as those of Slakh (statistics.py compares).
"""

from functools import partial

from data_pipeline.minislakh import chords, lines

COMP_PIANO, HIGH_PIANO = (52, 74), (62, 88)
COMP_GUITAR, LEAD_GUITAR, HIGH_GUITAR = (45, 67), (55, 77), (62, 84)
STRINGS, HIGH_STRINGS, LOW_STRINGS = (57, 81), (64, 90), (45, 69)

PIANO = {
    "block": partial(
        chords.block,
        register=COMP_PIANO,
        rate=(0.5, 1.3),
        voices=(3, 3, 4),
        gate=0.94,
        left_hand=0.4,
    ),
    "block_high": partial(
        chords.block, register=HIGH_PIANO, rate=(0.5, 1.3), voices=(3, 4), gate=0.9, left_hand=0.2
    ),
    "comp": partial(
        chords.block, register=COMP_PIANO, rate=(1.0, 2.2), voices=(3, 4), gate=0.8, left_hand=0.3
    ),
    "stabs": partial(
        chords.block,
        register=COMP_PIANO,
        rate=(1.2, 3.0),
        voices=(3, 4),
        gate=0.7,
        patterns=chords.STABS,
    ),
    "montuno": partial(
        lines.ostinato, register=HIGH_PIANO, rate=(3, 6), gate=(0.6, 0.9), voices=(2, 3), drop=0.25
    ),
    "arpeggio": partial(chords.arpeggio, register=COMP_PIANO, rate=(2, 5), gate=2.6, left_hand=0.6),
    "arpeggio_high": partial(
        chords.arpeggio, register=HIGH_PIANO, rate=(2.5, 6), gate=1.6, left_hand=0.6
    ),
    "boom_chick": partial(chords.boom_chick, register=COMP_PIANO, voices=(2, 3), gate=0.6),
    "pad": partial(chords.pad, register=COMP_PIANO, voices=(3, 4, 4)),
    "lead": partial(
        lines.melody, register=(64, 88), rate=(1.8, 4), gate=(0.7, 1.0), double=(0.6, "sixth")
    ),
    "octaves": partial(
        lines.melody, register=(70, 94), rate=(1.5, 3.5), gate=(0.6, 1.0), double=(1.0, "octave")
    ),
    "runs": partial(lines.melody, register=(62, 92), rate=(4, 8), gate=(0.8, 1.0), leap=0.1),
}

GUITAR = {
    "strum": partial(
        chords.block,
        register=COMP_GUITAR,
        rate=(0.8, 2.5),
        voices=(3, 4, 5),
        gate=0.85,
        patterns=chords.STRUMS,
        strum=0.012,
    ),
    "sparse": partial(
        chords.block, register=COMP_GUITAR, rate=(0.5, 1.2), voices=(2, 3, 3), gate=0.8, strum=0.01
    ),
    "skank": partial(
        chords.block,
        register=(55, 76),
        rate=(1.0, 3.0),
        voices=(2, 3),
        gate=0.5,
        patterns=chords.STABS,
        strum=0.005,
    ),
    "power": partial(chords.power, register=(40, 57), rate=(0.8, 4), gate=0.8),
    "boom_chick": partial(chords.boom_chick, register=COMP_GUITAR, voices=(2, 3), gate=0.6),
    "picking": partial(chords.arpeggio, register=COMP_GUITAR, rate=(1.6, 4.5), gate=1.8),
    "high_picking": partial(chords.arpeggio, register=HIGH_GUITAR, rate=(1.4, 3.5), gate=1.2),
    "muted": partial(lines.riff, register=(43, 60), rate=(1.8, 4), gate=(0.3, 0.6)),
    "lead": partial(
        lines.melody, register=LEAD_GUITAR, rate=(1.3, 2.4), gate=(0.45, 0.95), longest=0.9
    ),
    "high_lead": partial(
        lines.melody, register=HIGH_GUITAR, rate=(1.3, 2.6), gate=(0.45, 0.95), longest=0.9
    ),
    "dyads": partial(
        lines.melody, register=HIGH_GUITAR, rate=(1.0, 1.8), gate=(0.4, 0.8), double=(1.0, "third")
    ),
    "riff": partial(lines.riff, register=(47, 66), rate=(1.3, 3), gate=(0.5, 0.9)),
    "fast": partial(lines.melody, register=(60, 86), rate=(3, 6), gate=(0.6, 1.0), leap=0.1),
}

STRING = {
    "pad": partial(chords.pad, register=STRINGS, voices=(2, 3, 4)),
    "low_pad": partial(chords.pad, register=LOW_STRINGS, voices=(2, 3)),
    "staccato": partial(
        lines.ostinato, register=STRINGS, rate=(2.5, 6), gate=(0.3, 0.85), voices=(2, 2, 3)
    ),
    "high_staccato": partial(
        lines.ostinato, register=HIGH_STRINGS, rate=(2.5, 6), gate=(0.3, 0.85), voices=(1, 2, 3)
    ),
    "low_staccato": partial(
        lines.ostinato, register=LOW_STRINGS, rate=(2.5, 6), gate=(0.35, 0.85), voices=(1, 2)
    ),
    "stabs": partial(
        chords.block,
        register=STRINGS,
        rate=(2.0, 4.0),
        voices=(2, 3),
        gate=0.4,
        patterns=chords.STABS,
    ),
    "spiccato": partial(
        lines.melody,
        register=HIGH_STRINGS,
        rate=(4, 8),
        gate=(0.4, 0.7),
        leap=0.15,
        double=(0.6, "octave"),
    ),
    "runs": partial(
        lines.melody,
        register=(58, 90),
        rate=(4, 8),
        gate=(0.7, 1.0),
        leap=0.05,
        double=(0.4, "third"),
    ),
    "line": partial(
        lines.melody,
        register=HIGH_STRINGS,
        rate=(0.9, 2.2),
        gate=(0.9, 1.0),
        longest=3,
        double=(0.5, "third"),
    ),
    "low_line": partial(
        lines.melody, register=(48, 69), rate=(0.8, 2.0), gate=(0.9, 1.0), longest=3
    ),
    "short_line": partial(
        lines.melody, register=STRINGS, rate=(2.5, 5), gate=(0.3, 0.6), double=(0.7, "octave")
    ),
}

ROLES = {"piano": PIANO, "guitar": GUITAR, "strings": STRING}

# instrument -> job -> {role: weight}; a style may replace an entry.
JOBS = {
    "piano": {
        "lead": {"lead": 3, "octaves": 2, "runs": 0.7},
        "comp": {"block": 3, "block_high": 1.5, "comp": 2, "stabs": 0.7, "boom_chick": 0.5},
        "texture": {"arpeggio": 2, "arpeggio_high": 2, "pad": 1.5, "block_high": 1.5},
    },
    "guitar": {
        "lead": {"lead": 3, "high_lead": 3, "dyads": 1.5, "fast": 0.7},
        "comp": {"strum": 1.2, "sparse": 2, "skank": 1.2, "power": 1, "riff": 1.5, "picking": 1},
        "texture": {"high_picking": 1.5, "dyads": 1.5, "muted": 1, "lead": 1.5, "sparse": 1},
    },
    "strings": {
        "lead": {"spiccato": 2, "runs": 1, "line": 2, "short_line": 2},
        "comp": {"staccato": 3, "high_staccato": 3, "stabs": 1.5, "pad": 1.5},
        "texture": {
            "staccato": 2,
            "high_staccato": 2,
            "low_staccato": 1,
            "pad": 2.5,
            "low_pad": 1,
            "low_line": 1,
        },
    },
}

# Who takes (lead, comp, texture): every order occurs, guitar leads most often.
CASTS = {
    ("guitar", "piano", "strings"): 4,
    ("guitar", "strings", "piano"): 2,
    ("piano", "guitar", "strings"): 2.5,
    ("strings", "piano", "guitar"): 2,
    ("strings", "guitar", "piano"): 1.5,
    ("piano", "strings", "guitar"): 1.5,
}

# A plucked string dies away at once, so pizzicato keeps to the short roles.
PLUCKED = {
    "pad": "staccato",
    "low_pad": "low_staccato",
    "line": "short_line",
    "low_line": "low_staccato",
}
