"""A recurrent trunk that also judges every pitch by the same weights.

A harmonic stack shows each pitch the energies at its fundamental and at its harmonics, all as
channels of one position. Convolutions over time and pitch turn them into a few features of every
pitch; these go into the recurrence beside the spectrum, and to heads that read them. What is
learned about one pitch holds for all, so a note needs far fewer examples than with a dense layer.
"""

from dataclasses import field
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES
from cerberus_jax.trunks.base import FEATURES, PITCHES, Trunk
from cerberus_jax.trunks.blstm import BLSTM

# Semitones from a pitch to its first harmonics, and the octave below, which tells a pitch from its
# own second harmonic.
HARMONICS = (0, 12, 19, 24, 28, 31)
SHIFTS = (*HARMONICS, -12)
LOWEST_POSITION = LOWEST_PITCH + min(SHIFTS)
NUM_POSITIONS = NUM_PITCHES + max(SHIFTS) - min(SHIFTS)
_FLOOR = 1e-4  # -80 dB


def semitone_filters(grid: FrameGrid) -> Float[np.ndarray, "f n"]:
    """Triangular filters around every semitone from LOWEST_POSITION on, of weights that sum to one.

    They reach to the neighbouring semitone, or to the next bin where bins are further apart; above
    half the sampling rate they are zero.
    """
    bins = np.arange(grid.num_bins) * grid.sample_rate_hz / grid.window
    pitches = LOWEST_POSITION + np.arange(NUM_POSITIONS)
    centres = 440 * 2 ** ((pitches - 69) / 12)
    widths = np.maximum(centres * (2 ** (1 / 12) - 1), grid.sample_rate_hz / grid.window)
    weights = np.maximum(1 - np.abs(bins[:, None] - centres) / widths, 0)
    weights[:, centres >= grid.sample_rate_hz / 2] = 0
    return weights / np.maximum(weights.sum(0), 1e-9)


def harmonic_stack(energies: Float[Array, "b t n"]) -> Float[Array, "b t p h"]:
    """What lies at every pitch, at its harmonics and an octave below, as channels."""
    first = -min(SHIFTS)
    shifted = [energies[..., first + s : first + s + NUM_PITCHES] for s in SHIFTS]
    return jnp.stack(shifted, axis=-1)


def pitch_features(
    magnitude: Float[Array, "b t f"], grid: FrameGrid, *, channels: int, blocks: int
) -> Float[Array, "b t p c"]:
    """Features of every pitch by convolutions over its harmonic stack, within a module's call: the
    layers become the module's own."""
    filters = jnp.asarray(semitone_filters(grid), magnitude.dtype)
    energies = 1 + jnp.log10(jnp.maximum(magnitude @ filters, _FLOOR)) / 4
    pitches = harmonic_stack(energies)
    for k in range(blocks):
        kernel = (3, 3) if k == 0 else (5, 3)
        pitches = nn.Conv(channels, kernel, name=f"convolution_{k}")(pitches)
        pitches = nn.relu(nn.LayerNorm(name=f"norm_{k}")(pitches))
    return pitches


class Harmonic(Trunk, kw_only=True):
    """A BLSTM over the spectrum and over features of all pitches.

    Args:
        layers, hidden, dropout: the BLSTM.
        channels: features of every pitch.
        blocks: convolutions over time and pitch.
        pitch_units: what of all pitches enters the BLSTM, per frame.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ("scaled", "relative_magnitude")
    GIVES: ClassVar[tuple[str, ...]] = (FEATURES, PITCHES)
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("layers", "hidden", "dropout")

    layers: int = 2
    hidden: int = 128
    dropout: float = 0.0
    channels: int = field(default=16, metadata={"at_least": 1})
    blocks: int = field(default=2, metadata={"at_least": 1})
    pitch_units: int = field(default=128, metadata={"at_least": 1})

    @nn.compact
    def __call__(
        self, inputs: dict[str, Float[Array, "b t f"]], *, train: bool
    ) -> dict[str, Float[Array, "b t ..."]]:
        """Features [b t 2*hidden] and `pitches` [b t p c]."""
        pitches = pitch_features(
            inputs["relative_magnitude"], self.grid, channels=self.channels, blocks=self.blocks
        )
        flat = pitches.reshape(*pitches.shape[:2], -1)
        units = nn.LayerNorm(name="units_norm")(nn.Dense(self.pitch_units, name="units")(flat))
        x = jnp.concatenate([inputs["scaled"], units], axis=-1)
        blstm = BLSTM(
            grid=self.grid,
            precision=self.precision,
            recurrence=self.recurrence,
            mesh=self.mesh,
            layers=self.layers,
            hidden=self.hidden,
            dropout=self.dropout,
            name="blstm",
        )
        return blstm({"scaled": x}, train=train) | {PITCHES: pitches}
