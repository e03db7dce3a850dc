"""The layers of heads that judge every pitch by shared weights.

A trunk's features of a pitch say whether something sounds there; gates, linear in the features of
the frame, say whose it is. Masks take the way back from pitches to frequencies: what an instrument
plays at a pitch is spread over that pitch's harmonics, so that one note learned is all learned.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads.base import Linear, linear
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES
from cerberus_jax.trunks.base import FEATURES, PITCHES
from cerberus_jax.trunks.harmonic import HARMONICS


class PitchwiseLinear(nn.Module):
    """value[k, p] = linear(features)[k, p] + sum over c of gate[k, c] * pitches[p, c].

    The biases of the first term begin at `first_bias`.
    """

    num_values: int
    precision: str = "float32"
    first_bias: float = 0.0

    @nn.compact
    def __call__(self, features: dict[str, Array]) -> Float[Array, "b t k p"]:
        frames, pitches = features[FEATURES], features[PITCHES]
        num_features = frames.shape[-1]
        shape = (self.num_values, NUM_PITCHES)
        frame = Linear(shape, self.first_bias, name="frame")(num_features)
        gates = Linear((self.num_values, pitches.shape[-1]), name="gates")(num_features)
        gated = jnp.einsum(
            "btkc,btpc->btkp", linear(gates, frames, precision=self.precision), pitches
        )
        return linear(frame, frames, precision=self.precision) + gated


class PitchwiseMasks(nn.Module):
    """Mask logits [b t k f] from the features of the frame and of every pitch.

    Logits of every semitone are interpolated to the bins and added to those that are linear in the
    features of the frame. They come in two ways. Each mask has `channels` / 2 numbers for what its
    source plays at every pitch, which weights per harmonic carry to the semitones above. And every
    semitone has `channels` features of the pitches that have a harmonic there, the same for all
    masks; gates say what they mean for each.
    """

    num_masks: int
    grid: FrameGrid
    channels: int
    precision: str = "float32"

    @nn.compact
    def __call__(self, features: dict[str, Array]) -> Float[Array, "b t k f"]:
        frames = features[FEATURES]
        frame = Linear((self.num_masks, self.grid.num_bins), name="frame")(frames.shape[-1])
        semitones = self._played(features) + self._shared(features)
        interpolation = jnp.asarray(bin_interpolation(self.grid), semitones.dtype)
        return linear(frame, frames, precision=self.precision) + semitones @ interpolation

    def _played(self, features) -> Float[Array, "b t k n"]:
        per_mask = max(self.channels // 2, 1)
        played = PitchwiseLinear(self.num_masks * per_mask, self.precision, name="played")
        played = nn.relu(played(features))
        played = played.reshape(*played.shape[:2], self.num_masks, per_mask, NUM_PITCHES)
        shape = (self.num_masks, len(HARMONICS), per_mask)
        timbre = self.param("timbre", nn.initializers.normal(0.1), shape)
        return sum_at_harmonics(jnp.einsum("btkcp,khc->btkhp", played, timbre))

    def _shared(self, features) -> Float[Array, "b t k n"]:
        frames, pitches = features[FEATURES], features[PITCHES]
        gates = Linear((self.num_masks, self.channels), name="gates")(frames.shape[-1])
        shared = nn.Dense(self.channels, name="shared")(channels_at_harmonics(pitches))
        shared = nn.relu(nn.LayerNorm(name="shared_norm")(shared))
        return jnp.einsum(
            "btkc,btnc->btkn", linear(gates, frames, precision=self.precision), shared
        )


def sum_at_harmonics(values: Float[Array, "*a h p"]) -> Float[Array, "*a n"]:
    """Values of every harmonic of every pitch, added up at the semitones where the harmonics lie:
    those from the lowest pitch to the highest harmonic of the highest pitch."""
    top, lead = max(HARMONICS), [(0, 0)] * (values.ndim - 2)
    return sum(
        jnp.pad(values[..., k, :], [*lead, (shift, top - shift)])
        for k, shift in enumerate(HARMONICS)
    )


def channels_at_harmonics(pitches: Float[Array, "b t p c"]) -> Float[Array, "b t n hc"]:
    """At the same semitones, the features of the pitches of which they are the first, second, ...
    harmonic, one after the other."""
    top, lead = max(HARMONICS), [(0, 0), (0, 0)]
    return jnp.concatenate(
        [jnp.pad(pitches, [*lead, (shift, top - shift), (0, 0)]) for shift in HARMONICS], axis=-1
    )


def bin_interpolation(grid: FrameGrid) -> Float[np.ndarray, "n f"]:
    """Weights that carry values at semitones, from the lowest pitch on, to frequency bins: linear
    between two semitones, zero more than a semitone beyond the lowest and the highest."""
    bins = np.maximum(np.arange(grid.num_bins), 1e-3) * grid.sample_rate_hz / grid.window
    positions = 69 + 12 * np.log2(bins / 440) - LOWEST_PITCH
    semitones = np.arange(NUM_PITCHES + max(HARMONICS))
    return np.maximum(1 - np.abs(positions - semitones[:, None]), 0)
