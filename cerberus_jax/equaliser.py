"""Smooth gains over frequency: other rooms, microphones and amplifiers for one recording.

A curve is given by its values at the octaves and is linear in decibels and octaves between them.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid

OCTAVES_HZ = 40.0 * 2.0 ** np.arange(9)  # up to 10,240 Hz


def frequency_gains(decibels: Float[Array, "*b k"], grid: FrameGrid) -> Float[Array, "*b f"]:
    """Linear gains of a frame's bins from those at `OCTAVES_HZ` in dB.

    Bins below the first octave have its gain, those above the last have that one's.
    """
    bins = np.maximum(np.arange(grid.num_bins) * grid.sample_rate_hz / grid.window, OCTAVES_HZ[0])
    octaves = np.arange(len(OCTAVES_HZ))
    position = np.minimum(np.log2(bins / OCTAVES_HZ[0]), octaves[-1])
    weights = np.maximum(1 - np.abs(position - octaves[:, None]), 0)
    return 10 ** (decibels @ jnp.asarray(weights, decibels.dtype) / 20)
