"""Smooth gains over frequency: other rooms, microphones and amplifiers for one recording.

A curve is given by its values at the octaves and is linear in decibels and octaves between them.
Needs numpy alone.
"""

import numpy as np
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid

OCTAVES_HZ = 40.0 * 2.0 ** np.arange(9)  # up to 10,240 Hz


def curve_weights(grid: FrameGrid) -> Float[np.ndarray, "k f"]:
    """What each value at `OCTAVES_HZ` counts at the bins of a frame; they sum to one.

    Bins below the first octave have its value, those above the last have that one's.
    """
    bins = np.maximum(np.arange(grid.num_bins) * grid.sample_rate_hz / grid.window, OCTAVES_HZ[0])
    octaves = np.arange(len(OCTAVES_HZ))
    position = np.minimum(np.log2(bins / OCTAVES_HZ[0]), octaves[-1])
    return np.maximum(1 - np.abs(position - octaves[:, None]), 0)
