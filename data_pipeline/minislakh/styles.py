"""The styles: tempo, metre, swing, harmony, grooves, bass lines and typical roles.

A style replaces entries of the general table of roles only where it must.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Style:
    """What makes a style.

    Args:
        name: its name.
        bpm: tempo range.
        family: progressions of harmony.PROGRESSIONS.
        grooves: drum grooves.
        bass: bass patterns (or `walking`).
        gates: sounding part of bass notes, low and high.
        beats: 4, or 3 for waltzes.
        swing: where the second eighth of a beat falls (0.5 straight, 0.667 triplet).
        swing_sixteenths: the swing is between sixteenths.
        roles: (instrument, job) -> {role: weight} instead of the general table.
        blues: melodies use the blues scale.
        minor: probability of a minor key.
    """

    name: str
    bpm: tuple[float | int, float | int]
    family: str
    grooves: tuple[str, ...]
    bass: tuple[str, ...]
    gates: tuple[float | int, float | int] = (0.5, 0.95)
    beats: int = 4
    swing: float | int = 0.5
    swing_sixteenths: bool = False
    roles: dict = field(default_factory=dict)
    blues: bool = False
    minor: float | int = 0.5


STYLES = (
    Style(
        "pop",
        (88, 132),
        "pop",
        ("rock", "rock_ride", "disco_clap", "ballad_snare"),
        ("rooted", "eighths", "syncopated"),
    ),
    Style(
        "ballad",
        (60, 84),
        "ballad",
        ("ballad", "ballad_snare", "half_time"),
        ("long", "rooted", "two_beat"),
        (0.7, 1.0),
        roles={
            ("piano", "comp"): {"block": 2, "arpeggio": 2, "comp": 1},
            ("strings", "comp"): {"pad": 1, "staccato": 2, "high_staccato": 2},
        },
    ),
    Style(
        "rock",
        (100, 160),
        "rock",
        ("rock", "rock_open", "rock_ride", "half_time"),
        ("eighths", "rooted", "pedal"),
        roles={("guitar", "comp"): {"power": 3, "strum": 1, "riff": 2, "sparse": 1}},
    ),
    Style(
        "metal",
        (120, 180),
        "rock",
        ("metal", "punk", "half_time"),
        ("pedal", "eighths"),
        (0.5, 0.8),
        minor=0.85,
        roles={
            ("guitar", "comp"): {"power": 3, "muted": 2},
            ("guitar", "lead"): {"fast": 2, "high_lead": 3, "lead": 2},
        },
    ),
    Style(
        "swing",
        (100, 180),
        "jazz",
        ("swing", "swing_ride", "brushes"),
        ("walking",),
        (0.6, 0.9),
        swing=0.64,
        roles={
            ("piano", "comp"): {"comp": 3, "stabs": 2, "block": 1},
            ("guitar", "comp"): {"sparse": 2, "skank": 2, "strum": 1},
        },
    ),
    Style(
        "bossa",
        (108, 150),
        "bossa",
        ("bossa", "bossa_cabasa"),
        ("bossa",),
        (0.5, 0.9),
        roles={("guitar", "comp"): {"sparse": 2, "picking": 2, "skank": 1}},
    ),
    Style(
        "funk",
        (88, 120),
        "funk",
        ("funk", "funk_16"),
        ("funk", "syncopated"),
        (0.35, 0.7),
        swing=0.53,
        swing_sixteenths=True,
        roles={
            ("guitar", "comp"): {"skank": 3, "muted": 2, "riff": 1},
            ("piano", "comp"): {"stabs": 2, "comp": 1, "block": 1},
        },
    ),
    Style(
        "shuffle",
        (84, 140),
        "blues",
        ("shuffle", "shuffle_ride"),
        ("walking", "eighths", "rooted"),
        (0.5, 0.8),
        swing=0.65,
        blues=True,
    ),
    Style(
        "country",
        (92, 150),
        "country",
        ("train", "country"),
        ("two_beat", "walking"),
        (0.5, 0.8),
        minor=0.3,
        roles={
            ("guitar", "comp"): {"boom_chick": 3, "strum": 1, "picking": 1},
            ("piano", "comp"): {"boom_chick": 1, "block": 2},
        },
    ),
    Style(
        "disco",
        (110, 132),
        "pop",
        ("disco", "disco_clap"),
        ("octaves", "funk"),
        (0.5, 0.8),
        roles={
            ("strings", "lead"): {"runs": 2, "spiccato": 2, "short_line": 2},
            ("guitar", "comp"): {"skank": 3, "muted": 1},
        },
    ),
    Style(
        "reggae",
        (66, 92),
        "reggae",
        ("one_drop", "steppers"),
        ("reggae",),
        (0.5, 0.9),
        swing=0.56,
        swing_sixteenths=True,
        roles={
            ("guitar", "comp"): {"skank": 3, "muted": 1},
            ("piano", "comp"): {"stabs": 2, "block": 2},
        },
    ),
    Style(
        "latin",
        (90, 130),
        "latin",
        ("salsa", "cumbia", "songo"),
        ("tumbao", "two_beat"),
        (0.5, 0.9),
        roles={
            ("piano", "comp"): {"montuno": 2, "block": 2, "comp": 1},
            ("guitar", "comp"): {"sparse": 2, "skank": 1, "strum": 1},
        },
    ),
    Style(
        "cinematic",
        (70, 140),
        "cinematic",
        ("toms", "march", "half_time"),
        ("long", "pedal", "rooted"),
        (0.6, 1.0),
        minor=0.65,
        roles={
            ("strings", "comp"): {"staccato": 3, "high_staccato": 3, "low_staccato": 1, "pad": 1}
        },
    ),
    Style(
        "waltz",
        (84, 180),
        "waltz",
        ("waltz", "waltz_ride", "waltz_rim"),
        ("long", "rooted", "two_beat"),
        (0.6, 0.9),
        beats=3,
        roles={
            ("piano", "comp"): {"boom_chick": 2, "block": 2},
            ("guitar", "comp"): {"boom_chick": 1, "strum": 1, "picking": 1, "sparse": 1},
        },
    ),
)
