"""A trunk of bands: recurrences along time and along frequency, whose weights all bands share.

The spectrum is split into bands, narrow ones below (Luo and Yu, Music source separation with
band-split RNN, 2023), and ranges of pitches are bands too. All bands have the same size, so one
recurrence over time serves each of them and one over the bands serves each frame. What is learned
in one band holds for all, and the network is smaller than one that sees the spectrum whole.
"""

import itertools
from dataclasses import field
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import NUM_PITCHES
from cerberus_jax.trunks.base import FEATURES, PITCHES, Trunk
from cerberus_jax.trunks.blstm import Layer, dropout
from cerberus_jax.trunks.harmonic import pitch_features

EVEN_BANDS, EVEN_HZ = 6, 750.0  # so many of equal width below, then equal in octaves
OCTAVE_BANDS = 10
PITCH_BANDS = 4
# Features begin small, so that rolls begin near their first biases (heads/rolls.py).
_small = nn.initializers.variance_scaling(0.05, "fan_in", "truncated_normal")


def band_edges(grid: FrameGrid) -> list[int]:
    """First bins of the bands, and the end of the last; each band has a bin at least."""
    nyquist = grid.sample_rate_hz / 2
    even = np.linspace(0, min(EVEN_HZ, nyquist / 2), EVEN_BANDS + 1)
    octaves = np.geomspace(even[-1], nyquist, OCTAVE_BANDS + 1)[1:]
    edges = np.rint(np.append(even, octaves) * grid.window / grid.sample_rate_hz).astype(int)
    edges[-1] = grid.num_bins
    return np.unique(edges).tolist()


class BandSplit(Trunk, kw_only=True):
    """Bands of the spectrum and of pitches, each layer a BLSTM over time and one over the bands.

    Args:
        layers, dropout: of the recurrences over time and bands.
        hidden: half the features of a frame that heads read.
        size: features of a band, and units of its recurrences for each direction.
        channels, blocks: features of every pitch and convolutions, as in `Harmonic`.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ("scaled", "relative_magnitude")
    GIVES: ClassVar[tuple[str, ...]] = (FEATURES, PITCHES)
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("layers", "hidden", "dropout")

    layers: int = 2
    hidden: int = 128
    dropout: float = 0.0
    size: int = field(default=32, metadata={"at_least": 2})
    channels: int = field(default=16, metadata={"at_least": 1})
    blocks: int = field(default=2, metadata={"at_least": 1})

    @nn.compact
    def __call__(
        self, inputs: dict[str, Float[Array, "b t f"]], *, train: bool
    ) -> dict[str, Float[Array, "b t ..."]]:
        """Features [b t 2*hidden] and `pitches` [b t p c]."""
        pitches = pitch_features(
            inputs["relative_magnitude"], self.grid, channels=self.channels, blocks=self.blocks
        )
        x = jnp.stack([*self._bands(inputs["scaled"]), *self._ranges(pitches)], axis=2)
        for k in range(self.layers):
            x = x + self._along_time(x, f"time_{k}", train and k > 0)
            x = x + self._along_bands(x, f"bands_{k}", train and k > 0)
        x = nn.LayerNorm(name="out_norm")(x).reshape(*x.shape[:2], -1)
        features = nn.tanh(nn.Dense(2 * self.hidden, kernel_init=_small, name="out")(x))
        return {FEATURES: features, PITCHES: pitches}

    def _bands(self, spectrum):
        edges = band_edges(self.grid)
        for k, (first, end) in enumerate(itertools.pairwise(edges)):
            band = nn.LayerNorm(name=f"band_norm_{k}")(spectrum[..., first:end])
            yield nn.Dense(self.size, name=f"band_{k}")(band)

    def _ranges(self, pitches):
        size = NUM_PITCHES // PITCH_BANDS
        for k in range(PITCH_BANDS):
            own = pitches[:, :, k * size : (k + 1) * size]
            own = nn.Dense(self.size, name=f"range_{k}")(own.reshape(*own.shape[:2], -1))
            yield nn.LayerNorm(name=f"range_norm_{k}")(own)

    def _along_time(self, x, name, drops):
        b, t, k, n = x.shape
        found = self._recurrence(x.transpose(1, 0, 2, 3).reshape(t, b * k, n), name, drops)
        return found.reshape(t, b, k, n).transpose(1, 0, 2, 3)

    def _along_bands(self, x, name, drops):
        b, t, k, n = x.shape
        found = self._recurrence(x.transpose(2, 0, 1, 3).reshape(k, b * t, n), name, drops)
        return found.reshape(k, b, t, n).transpose(1, 2, 0, 3)

    def _recurrence(self, x, name, drops):
        x = nn.LayerNorm(name=f"{name}_norm")(x)
        if drops and self.dropout > 0:
            x = dropout(self.make_rng("dropout"), x, self.dropout)
        layer = Layer(self.size, self.precision, self.recurrence, self.mesh, name=name)
        return nn.Dense(self.size, name=f"{name}_out")(layer(x))
