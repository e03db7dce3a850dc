"""What counts as 0 dB in the windows of a song.

Each window is normalised by its own loudest bin, as excerpts are in training, so that quiet parts
are heard. Without a floor this makes music of what is none: dither after the end, noise before a
fade-in. So the loudest bin counts for no less than RELATIVE_FLOOR_DB below that of the song, and
for no less than that of a sine at ABSOLUTE_FLOOR_DB. Both were chosen on validation songs
(docs/robustness.md).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid

RELATIVE_FLOOR_DB = -40.0  # re the song's loudest bin
ABSOLUTE_FLOOR_DB = -60.0  # re a sine of full scale


def window_references(
    magnitude: Float[Array, "b t f"], loudest: Float[Array, ""], grid: FrameGrid
) -> tuple[Float[Array, " b"], Float[Array, ""]]:
    """The magnitude that counts as 0 dB in each of consecutive windows, and the song's loudest.

    Args:
        magnitude: spectra of the windows, in order.
        loudest: magnitude of the loudest bin of the song, as far as it is known: of all of it, or
            of the windows before these.
        grid: of the spectra.
    """
    own = magnitude.max((1, 2))
    so_far = jnp.maximum(jax.lax.cummax(own), loudest)
    return floored(jnp.maximum(own, so_far * 10 ** (RELATIVE_FLOOR_DB / 20)), grid), so_far[-1]


def floored(reference: Float[Array, "*b"], grid: FrameGrid) -> Float[Array, "*b"]:
    """The references, where they are lower that of a sine at ABSOLUTE_FLOOR_DB."""
    sine = grid.window / 4  # half the sum of the Hann window
    return jnp.maximum(reference, sine * 10 ** (ABSOLUTE_FLOOR_DB / 20))


def quiet_song(loudest: float | None, grid: FrameGrid) -> list[str]:
    """A sentence about a song of which not even the loudest bin reaches the floor, if it does not
    and is not silent."""
    level = 20 * math.log10(loudest / (grid.window / 4)) if loudest else 0.0
    if level >= ABSOLUTE_FLOOR_DB:
        return []
    return [
        f"very quiet: the loudest partial has {level:.0f} dB re full scale, and what lies far "
        f"below {ABSOLUTE_FLOOR_DB:.0f} dB counts as noise; amplify the song to have all heard"
    ]
