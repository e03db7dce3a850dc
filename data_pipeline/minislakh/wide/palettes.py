"""Which sounds each split of wide MiniSlakh may use: programs, and kinds of effects.

Training hears most programs of each class, as they are and in other sizes. Some programs, and some
kinds of reverberation and drive, are heard only in `test_unseen`, others only in every second song
of `validation`, so that checkpoints and thresholds are chosen on sounds that training never hears,
and not on those that are scored. Two are left out: program 31 (guitar harmonics), which sounds at
least an octave above its notes in every soundfont tried, and kit 48 (orchestra), in which the keys
of hats and cymbals are kettledrums.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

# A soundfont that no training hears: Debian's csound-soundfont.
HELD_OUT_SOUNDFONTS = ("sf_GMbank.sf2",)


@dataclass(frozen=True)
class Palette:
    """The sounds that a song may use.

    Args:
        programs: instrument -> General MIDI program (drum kit) -> how likely it is.
        reverbs: kinds of reverberation, keys of reverberation.KINDS.
        drives: kinds of drive, keys of effects.DRIVES.
        models: instrument -> how often a model plays it instead of a soundfont.
        is_unseen: soundfonts kept from training may be used too.
        other_sizes: how often the sound of a pitched instrument is of another size (sizes.py).
        layered: how often two sounds play its part together (layers.py).
        mixed_kits: how often a kit of drums is mixed of several (mixed_kit.py).
    """

    programs: dict[str, dict[int, float | int]]
    reverbs: tuple[str, ...]
    drives: tuple[str, ...]
    models: dict[str, float | int] = field(default_factory=dict)
    is_unseen: bool = False
    other_sizes: float | int = 0.0
    layered: float | int = 0.0
    mixed_kits: float | int = 0.0

    def allowed_soundfonts(self, soundfonts: Sequence[str]) -> list[str]:
        """Which of these files may play: all for unseen sounds, else those that are not held out.

        Raises:
            ValueError: if none is left.
        """
        allowed = [font for font in soundfonts if self.is_unseen or not _is_held_out(font)]
        if not allowed:
            raise ValueError(
                f"soundfont: wide songs need one beside {', '.join(soundfonts)}, which is held "
                "out: it plays in test_unseen alone; add another by --soundfont"
            )
        return allowed


def _is_held_out(soundfont: str) -> bool:
    """By its name, or that of the file that it is a link to."""
    names = (soundfont, os.path.realpath(soundfont))
    return any(os.path.basename(name) in HELD_OUT_SOUNDFONTS for name in names)


# Beside the five: chromatic percussion, organ, harp, choir, brass, reed, pipe, lead, pad, what is
# played like a pad among the effects, ethnic, seashore and applause.
_REST = (
    *(9, 11, 12, 13, 14, 16, 17, 20, 21, 22, 46, 54, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67),
    *(68, 69, 70, 72, 74, 75, 78, 79, 80, 81, 82, 84, 85, 88, 89, 90, 91, 92, 94, 104, 105, 107),
    *(96, 97, 98, 99, 100, 102, 109, 122, 126),
)
SEEN = Palette(
    {
        "piano": {0: 3, 1: 2, 4: 1, 5: 1, 6: 0.7, 7: 0.7},
        "guitar": {25: 2, 26: 2, 28: 1, 29: 1.5, 30: 1.5},
        "bass": {32: 1.5, 33: 3, 34: 1.5, 37: 0.7, 38: 1, 39: 1},
        "strings": {40: 1, 42: 1, 43: 0.5, 44: 0.7, 45: 1, 48: 3, 49: 1, 51: 1},
        "drums": {0: 4, 8: 1, 16: 1.5, 25: 1, 32: 1},
        "rest": dict.fromkeys(_REST, 1),
    },
    reverbs=("room", "hall"),
    drives=("soft", "tube"),
    models={"guitar": 0.3, "bass": 0.12},
)
# The same sounds, and what can be made of them. Kits less often: a drum of a mixed one is hard to
# tell from another.
TRAINING = replace(SEEN, other_sizes=0.5, layered=0.2, mixed_kits=0.35)
VALIDATION = Palette(
    {
        "piano": {3: 1},
        "guitar": {24: 1},
        "bass": {35: 1},
        "strings": {50: 1},
        "drums": {40: 1},
        "rest": dict.fromkeys((18, 53, 56, 71, 95), 1),
    },
    reverbs=("plate",),
    drives=("clip",),
)
UNSEEN = Palette(
    {
        "piano": {2: 1},
        "guitar": {27: 1},
        "bass": {36: 1},
        "strings": {41: 1},
        "drums": {24: 1},
        "rest": dict.fromkeys((19, 52, 73, 83), 1),
    },
    reverbs=("spring",),
    drives=("fold",),
    is_unseen=True,
)


def palette_of(split: str, number: int) -> Palette:
    """The sounds of a track, told by its split and its number."""
    if split == "test_unseen":
        return UNSEEN
    if split == "train":
        return TRAINING
    return VALIDATION if split == "validation" and number % 2 == 0 else SEEN
