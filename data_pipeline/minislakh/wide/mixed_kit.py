"""A kit of drums whose pieces come from several kits, each in a size and at a level of its own.

A soundfont has few kits, and songs that are to teach what a kick is in any kit need many.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from data_pipeline.io.midi import Part
from data_pipeline.minislakh.dice import Dice
from data_pipeline.minislakh.renderer import Renderer
from data_pipeline.minislakh.wide.sizes import played_in_size

NAME = "mixed kit"
# Kicks, snares (with stick and clap), hats, toms, cymbals; every other key is of the last piece.
_PIECES = (
    (35, 36),
    (37, 38, 39, 40),
    (42, 44, 46),
    (41, 43, 45, 47, 48, 50),
    (49, 51, 52, 53, 55, 57, 59),
)
_KEYS_OF_PIECES = (*_PIECES, tuple(sorted(set(range(128)).difference(*_PIECES))))
LEVEL_DB = 4.0  # a piece is louder or softer by at most this
LARGEST_OF_DRUMS = 2  # semitones; toms are told from one another by few


@dataclass(frozen=True)
class Piece:
    """Some keys of a kit.

    Args:
        keys: those that it plays.
        soundfont: the file of its kit.
        program: its kit there.
        semitones: how much smaller it is than there.
        level_db: how much louder.
    """

    keys: tuple[int, ...]
    soundfont: str
    program: int
    semitones: int
    level_db: float | int


def draw_pieces(
    kits_with: Callable[[set[int]], dict[tuple[str, int], float | int]], dice: Dice
) -> tuple[Piece, ...]:
    """The pieces of a kit.

    Args:
        kits_with: of some keys, (soundfont, kit) -> how likely it is to play them.
        dice: random choices.
    """
    pieces = []
    for keys in _KEYS_OF_PIECES:
        kits = kits_with(set(keys))
        pieces.append(
            Piece(
                keys,
                *dice.pick(kits, kits.values()),
                semitones=dice.integer(-LARGEST_OF_DRUMS, LARGEST_OF_DRUMS),
                level_db=dice.between(-LEVEL_DB, LEVEL_DB),
            )
        )
    return tuple(pieces)


def description(pieces: tuple[Piece, ...]) -> str:
    """Such as `kits a.sf2 0 -2, b.sf2 8 +1`: of each piece the file, the kit and how many semitones
    higher it sounds than there."""
    told = (f"{os.path.basename(p.soundfont)} {p.program} {p.semitones:+d}" for p in pieces)
    return "kits " + ", ".join(told)


def play(
    pieces: tuple[Piece, ...],
    renderer: Renderer,
    cents: float | int,
    part: Part,
    num_samples: int,
) -> Float[np.ndarray, " n"]:
    """The sum of what the pieces play of a part, `cents` above the usual tuning."""
    sound = np.zeros(num_samples, np.float32)
    for piece in pieces:
        struck = part.notes.select(np.isin(part.notes.pitches, piece.keys))
        if not len(struck):
            continue
        alone = replace(part, notes=struck, program=piece.program)
        played = played_in_size(
            *(renderer, piece.soundfont, alone, num_samples),
            semitones=piece.semitones,
            cents=cents,
        )
        sound += np.float32(10 ** (piece.level_db / 20)) * played
    return sound
