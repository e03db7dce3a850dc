"""What the heads that give one piano roll per instrument have in common."""

from dataclasses import dataclass

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from cerberus_jax.heads.base import Head, Linear
from cerberus_jax.heads.pitchwise import PitchwiseLinear
from cerberus_jax.notes import NUM_PITCHES
from cerberus_jax.targets import Mixture
from cerberus_jax.trunks.base import FEATURES, PITCHES

# About one cell in fifty sounds. Where rolls begin at one half instead, the first steps drive all
# logits so far below zero that the squared error of their probabilities has no slope left, and the
# rolls stay empty for hundreds of steps.
SOUNDING_LOG_ODDS = -4.0


@dataclass(frozen=True, kw_only=True)
class RollHead(Head):
    """Logits [b s t p] of the transcribed instruments.

    Where the trunk gives features of every pitch the head reads them beside those of the frame
    (`PitchwiseLinear`), else it is linear.
    """

    @property
    def is_linear(self) -> bool:
        """Where the trunk gives features of the frame alone."""
        return self.context is None or PITCHES not in self.context.features

    @property
    def reads(self) -> tuple[str, ...]:
        """The frame's features, and those of every pitch where there are some."""
        return (FEATURES,) if self.is_linear else (FEATURES, PITCHES)

    def shape(self) -> tuple[int, int]:
        """Rolls and keys."""
        return self.context.num_transcribed, NUM_PITCHES

    def module(self) -> nn.Module:
        """The parameters, which begin at rolls that are nearly empty."""
        if self.is_linear:
            return Linear(self.shape(), SOUNDING_LOG_ODDS)
        context = self.context
        return PitchwiseLinear(context.num_transcribed, context.precision, SOUNDING_LOG_ODDS)

    @staticmethod
    def with_labelled(targets: dict[str, Array], mixture: Mixture) -> dict[str, Array]:
        """The targets, and `labelled` [b s] where sources without labels may be among them."""
        return targets if mixture.labelled is None else targets | {"labelled": mixture.labelled}

    def activate(self, raw: Float[Array, "b t s p"]) -> Float[Array, "b s t p"]:
        """The logits."""
        return raw.swapaxes(1, 2)

    def predict(self, output: Float[Array, "b s t p"]) -> Float[Array, "b s t p"]:
        """The probabilities."""
        return jax.nn.sigmoid(output)
