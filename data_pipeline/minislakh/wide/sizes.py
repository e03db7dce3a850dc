"""A sound in another size: played lower and slower, and read faster, or the other way round.

Times and pitches stay, but for kits of drums, whose pitch is their size. What belongs to the body
of an instrument moves: its resonances, its noises, how long its sounds take to begin and to die
away.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from jaxtyping import Float
from scipy.signal import resample_poly

from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part
from data_pipeline.minislakh.renderer import Renderer

# How much faster a sound is read that is smaller by so many semitones: near 2 ** (semitones / 12),
# of small numbers, for which resampling is cheap.
_FACTORS = {
    0: Fraction(1),
    1: Fraction(18, 17),
    2: Fraction(9, 8),
    3: Fraction(6, 5),
    4: Fraction(5, 4),
}
LARGEST = max(_FACTORS)


def played_in_size(
    renderer: Renderer,
    soundfont: str,
    part: Part,
    num_samples: int,
    *,
    semitones: int,
    cents: float | int = 0.0,
) -> Float[np.ndarray, " n"]:
    """The sound of a part by an instrument that is smaller by some semitones.

    Args:
        renderer: with the soundfont.
        soundfont: a file.
        part: at the times and pitches at which it shall sound.
        num_samples: of the sound.
        semitones: from -LARGEST, a larger instrument, to LARGEST. Notes of pitched instruments
            that would have to be played below MIDI pitch 0 or above 127 are not.
        cents: above the usual tuning.
    """
    factor = _FACTORS[abs(semitones)] if semitones >= 0 else 1 / _FACTORS[-semitones]
    notes = part.notes
    if not part.is_drum:
        cents = cents + 100 * semitones - 1200 * math.log2(factor)
        notes = notes.transposed(-semitones)
    notes = Notes(notes.intervals * float(factor), notes.pitches, notes.velocities)
    sound = renderer.render(
        replace(part, notes=notes),
        soundfont=soundfont,
        num_samples=math.ceil(num_samples * factor),
        cents=cents,
    )
    if factor == 1:
        return sound
    resampled = resample_poly(sound, factor.denominator, factor.numerator)
    return resampled[:num_samples].astype(np.float32)
