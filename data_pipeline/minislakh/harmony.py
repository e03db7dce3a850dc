"""Keys, chords, progressions and voice leading.

Progressions are written in Roman numerals relative to the major scale of the tonic, in minor keys
too: the sixth degree of a minor key is `bVI`. Bars are separated by spaces, chords inside a bar by
commas.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

KEY_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
BLUES = (0, 3, 5, 6, 7, 10)

QUALITIES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "5": (0, 7),
    "sus4": (0, 5, 7),
    "o": (0, 3, 6),
    "+": (0, 4, 8),
    "maj7": (0, 4, 7, 11),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "ø": (0, 3, 6, 10),
    "o7": (0, 3, 6, 9),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "9": (0, 4, 7, 10, 2),
    "m9": (0, 3, 7, 10, 2),
    "add9": (0, 4, 7, 2),
    "maj9": (0, 4, 7, 11, 2),
    "madd9": (0, 3, 7, 2),
    "13": (0, 4, 10, 9),
}
DEGREES = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
NUMERAL = re.compile(r"([b#]?)(VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)(.*)")

# family -> (progressions in major, progressions in minor)
PROGRESSIONS = {
    "pop": (
        (
            "I V vi IV",
            "vi IV I V",
            "I vi IV V",
            "IV I V vi",
            "I iii IV V",
            "I IV vi V",
            "I V,V6 vi IV,V",
        ),
        (
            "i bVI bIII bVII",
            "i bVII bVI bVII",
            "i iv bVI V",
            "i bIII bVII iv",
            "bVI bVII i i",
            "i v bVI bVII",
        ),
    ),
    "ballad": (
        (
            "Iadd9 V vi7 IVadd9",
            "Imaj7 iii7 IVmaj7 V,V7",
            "I V,iii vi,I IV,V",
            "IV iv I vi",
            "I IVmaj7 ii7 Vsus4,V",
        ),
        ("iadd9 bVImaj7 bIII bVII", "i V bVI iv", "i,bVII bVImaj7 iv7 V", "im9 iv9 bVII bIIImaj7"),
    ),
    "rock": (
        ("I bVII IV I", "I IV V IV", "I I bVII IV", "I V IV IV", "vi V IV V", "I5 bIII5 IV5 bVII5"),
        (
            "i bVII bVI bVII",
            "i i bIII bVII",
            "i5 bVI5 bVII5 i5",
            "i iv i bVII",
            "i5 bIII5 iv5 bVI5,bVII5",
        ),
    ),
    "jazz": (
        (
            "ii7 V7 Imaj7 VI7",
            "Imaj7 vi7 ii7 V7",
            "Imaj7,VI7 ii7,V7 iii7,VI7 ii7,V7",
            "Imaj7 I7 IVmaj7 iv6",
            "iii7 bIIIo7 ii7 V13",
            "Imaj7 IV7 iii7,VI7 ii7,V7",
        ),
        (
            "im7 iiø V7 im6",
            "iiø V7 im9 im9",
            "im7 iv7 bVII7 bIIImaj7",
            "im6 bVI7 iiø V7",
            "im7,bVII7 bVImaj7,V7 im7 V7",
        ),
    ),
    "bossa": (
        (
            "Imaj7 II7 ii7 V7",
            "Imaj7 Imaj7 ii7 V13",
            "Imaj9 bIIIo7 ii7 V7",
            "IVmaj7 iv6 iii7,VI7 ii7,V7",
        ),
        ("im9 im9 iiø V7", "im7 iv7 bVII9 bIIImaj7", "im6 bVI7 V7 im6"),
    ),
    "blues": (
        (
            "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",
            "I7 IV7 I7 I7 IV7 #IVo7 I7 VI7 ii7 V7 I7,VI7 ii7,V7",
            "I7 IV7 I7 V7",
        ),
        ("im7 im7 im7 im7 iv7 iv7 im7 im7 bVI7 V7 im7 V7", "im7 iv7 im7 V7"),
    ),
    "funk": (
        ("I9 I9 IV9 I9", "I7 I7 bVII7 IV7", "I9 bVII9 I9 IV13"),
        ("im7 im7 im7 IV7", "im9 IV9 im9 IV9", "im7 bVII7 im7 bVI7,V7", "im7 im7 iv9 bVII13"),
    ),
    "country": (
        ("I I IV I", "I IV V I", "I V I IV,V", "I vi IV V", "I I7 IV V7"),
        ("i i bVII i", "i bVII i V", "i bIII bVII i", "i iv V7 i"),
    ),
    "latin": (
        ("I IV V7 IV", "Imaj7 VI7 ii7 V7", "I V7 V7 I", "I,IV V,IV I,IV V,IV"),
        ("i iv V7 V7", "i bVII bVI V7", "im7 V7 V7 im7", "i,iv V7,iv i,iv V7,iv"),
    ),
    "reggae": (
        ("I IV I IV", "I V vi IV", "I ii I ii", "vi IV I V"),
        ("i bVII i bVII", "i iv i iv", "i bVI bVII i", "im7 iv7 v7 im7"),
    ),
    "cinematic": (
        ("I V,V6 vi iii IV I IV V", "I bVI bVII I", "vi IV I V", "I iii vi IV", "I bIII IV bVI"),
        (
            "i bVI bIII bVII",
            "i bVI iv V",
            "i v bVI iv",
            "i bIII bVI iv",
            "i i bVI bVII",
            "i bii i V",
        ),
    ),
    "waltz": (
        ("I vi ii7 V7", "I I V7 V7 V7 V7 I I", "I III7 vi IV", "Imaj7 IV iii7 VI7 ii7 V7 Imaj7 V7"),
        ("i iv V7 i", "i V7 i V7", "i bVI iv V7", "i bVII bVI V7"),
    ),
}


@dataclass(frozen=True)
class Key:
    """A tonic pitch class (C = 0) and a mode."""

    tonic: int
    minor: bool

    def __str__(self) -> str:
        return f"{KEY_NAMES[self.tonic]} {'minor' if self.minor else 'major'}"


@dataclass(frozen=True)
class Chord:
    """Pitch classes: the root, the tones (root first) and the scale for melodies over it."""

    root: int
    tones: tuple[int, ...]
    scale: tuple[int, ...]

    @property
    def third(self) -> int:
        """The second tone of the stack: third, suspended fourth, or fifth of a power chord."""
        return self.tones[1]

    @property
    def fifth(self) -> int:
        """The tone about seven semitones above the root."""
        return min(self.tones, key=lambda tone: abs((tone - self.root) % 12 - 7))


@lru_cache(4096)
def chord(numeral: str, key: Key) -> Chord:
    """The chord of a Roman numeral: lower case minor, then a quality of `QUALITIES`."""
    match = NUMERAL.fullmatch(numeral)
    if not match:
        raise ValueError(f"chord: expected a Roman numeral such as bVII7, got {numeral!r}")
    accidental, degree, quality = match.groups()
    if degree.islower() and quality not in ("o", "o7", "ø") and not quality.startswith("m"):
        quality = "m" + quality
    if quality == "m" + "5":
        quality = "5"
    root = (key.tonic + DEGREES[degree.upper()] + {"b": -1, "#": 1, "": 0}[accidental]) % 12
    tones = tuple((root + step) % 12 for step in QUALITIES[quality])
    base = {(key.tonic + step) % 12 for step in (MINOR if key.minor else MAJOR)}
    foreign = set(tones) - base
    clashing = {(tone + step) % 12 for tone in foreign for step in (-1, 1)} - set(tones)
    return Chord(root, tones, tuple(sorted((base - clashing) | set(tones))))


def progression(text: str, key: Key) -> tuple[tuple[Chord, ...], ...]:
    """The chords of each bar of a progression written in numerals."""
    return tuple(tuple(chord(name, key) for name in bar.split(",")) for bar in text.split())


@lru_cache(65536)
def voicing(
    tones: tuple[int, ...], previous: tuple[int, ...], low: int, high: int, count: int
) -> tuple[int, ...]:
    """`count` ascending pitches of a chord within [low, high] that move least from `previous`.

    Candidates are close and drop-2 positions; without a previous chord the one nearest to the
    middle wins. Where none fits, the lowest close position reaches above `high`.
    """
    centre = (low + high) / 2
    best, best_cost, lowest = (), float("inf"), ()
    for bottom in range(low, high + 1):
        if bottom % 12 not in tones:
            continue
        close = [bottom]
        while len(close) < count + 1:
            close.append(next(p for p in range(close[-1] + 1, close[-1] + 13) if p % 12 in tones))
        lowest = lowest or tuple(close[:count])
        spread = sorted([*close[: count - 2], close[count - 2] - 12, close[count - 1]])
        for pitches in (close[:count], spread) if count >= 3 else (close[:count],):
            if pitches[0] < low or pitches[-1] > high:
                continue
            cost = 0.3 * abs(sum(pitches) / count - centre)
            if len(previous) == count:
                cost += sum(abs(a - b) for a, b in zip(pitches, previous, strict=True))
            if cost < best_cost:
                best, best_cost = tuple(pitches), cost
    return best or lowest


def near(pitch_class: int, pitch: float | int) -> int:
    """The pitch of this class nearest to `pitch`."""
    below = int(pitch) - (int(pitch) - pitch_class) % 12
    return below if pitch - below <= below + 12 - pitch else below + 12
