"""A trunk, a head, a kind of mask and an instrument that the project does not have."""

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from cerberus_jax.heads import Head
from cerberus_jax.masks import MaskKind
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES
from cerberus_jax.trunks.base import FEATURES, Trunk
from data_pipeline.instruments import Instrument

PITCH_FEATURES = "pitch_features"


class ToyTrunk(Trunk, kw_only=True):
    """Dense layers: features of a frame, and `width` more of every pitch."""

    INPUTS: ClassVar[tuple[str, ...]] = ("scaled", "relative_magnitude")

    width: int = 2

    @nn.compact
    def __call__(self, inputs, *, train):
        del train
        per_pitch = nn.Dense(NUM_PITCHES * self.width)(inputs["relative_magnitude"])
        return {
            FEATURES: nn.tanh(nn.Dense(8)(inputs["scaled"])),
            PITCH_FEATURES: per_pitch.reshape(*per_pitch.shape[:2], NUM_PITCHES, self.width),
        }


class ToyOnsetModule(nn.Module):
    """Each pitch judged by the same weights; the frame's features say whose it is."""

    num_rolls: int

    @nn.compact
    def __call__(self, features):
        per_pitch = features[PITCH_FEATURES]
        gates = nn.Dense(self.num_rolls * per_pitch.shape[-1])(features[FEATURES])
        gates = gates.reshape(*gates.shape[:2], self.num_rolls, -1)
        return jnp.einsum("btsc,btpc->btsp", gates, per_pitch)


@dataclass(frozen=True, kw_only=True)
class ToyOnsets(Head):
    """Onset logits [b s t p] from the features of every pitch."""

    submodule: ClassVar[str] = "toy_onset_head"
    output: ClassVar[str] = "onset_logits"
    short_name: ClassVar[str] = "on"
    reads: ClassVar[tuple[str, ...]] = (FEATURES, PITCH_FEATURES)
    is_linear: ClassVar[bool] = False
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride", "power")

    power: float = 2.0
    scale: float = 1.0  # of the architecture: model.toy_onsets.scale

    def module(self):
        return ToyOnsetModule(self.context.num_transcribed)

    def activate(self, raw):
        return self.scale * raw.swapaxes(1, 2)

    def targets(self, mixture):
        notes, num_frames = mixture.notes, mixture.spectrum.shape[1]
        first, end, pitch = (notes[..., k].astype(jnp.int32) for k in range(3))
        b, s = jnp.indices(notes.shape[:2])
        roll = jnp.zeros((*notes.shape[:2], num_frames, NUM_PITCHES))
        key = jnp.clip(pitch - LOWEST_PITCH, 0, NUM_PITCHES - 1)
        return {"onset_roll": roll.at[b[..., None], s[..., None], first, key].max(end > first)}

    def loss(self, raw, targets, first_frame):
        from cerberus_jax.heads.base import strided

        onset_roll = strided(targets["onset_roll"], self.stride, first_frame, 2)
        return (jnp.abs(self.activate(raw) - onset_roll) ** self.power).mean((1, 2, 3))


def _complex_masks(raw):
    real_and_imaginary = jnp.tanh(raw.reshape(*raw.shape[:-2], -1, 2, raw.shape[-1]))
    return real_and_imaginary[..., 0, :] + 1j * real_and_imaginary[..., 1, :]


TOY_MASKS = MaskKind(_complex_masks, targets=("spectrum",), outputs_per_mask=2)

THEREMIN = Instrument(frozenset(), 80, ("#112233", "#ddeeff"), has_offsets=False)
