"""Two sounds that play every note together, as keyboards and studios layer them.

Between two programs of a class lie sounds that no soundfont has.
"""

import os
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from data_pipeline.io.midi import Part
from data_pipeline.minislakh.renderer import Voice

SOFTEST_DB = -9.0  # of the second sound beside the first


def layered(first: Voice, second: Voice, program: int, level_db: float | int) -> Voice:
    """A voice of two.

    Args:
        first: who plays the part with its own program.
        second: who plays it too.
        program: of the second.
        level_db: of the second beside the first.
    """

    def play(part: Part, num_samples: int) -> Float[np.ndarray, " n"]:
        below = first.play(part, num_samples)
        above = second.play(replace(part, program=program), num_samples)
        ratio = _rms(below) / max(_rms(above), 1e-9)
        return below + np.float32(10 ** (level_db / 20) * ratio) * above

    said = f"with {os.path.basename(second.name)} {program} {level_db:.1f} dB"
    if second.effects:
        said = f"{said} {second.effects}"
    return Voice(first.name, play, "; ".join(filter(None, (first.effects, said))))


def _rms(sound: Float[np.ndarray, " n"]) -> float:
    return float(np.sqrt(np.mean(np.square(sound), dtype=np.float64))) if sound.size else 0.0
