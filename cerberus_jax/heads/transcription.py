"""Transcription: one piano roll per instrument that has notes."""

from dataclasses import dataclass, field
from typing import ClassVar

import jax
from jaxtyping import Array, Float

from cerberus_jax import losses
from cerberus_jax.heads.base import Head, strided
from cerberus_jax.notes import NUM_PITCHES
from cerberus_jax.targets import Mixture, draw_rolls


@dataclass(frozen=True, kw_only=True)
class Transcription(Head):
    """Roll logits [b s t p] of the transcribed instruments.

    Args:
        kind, normaliser: see `losses.transcription_loss`.
    """

    submodule: ClassVar[str] = "transcription_head"
    output: ClassVar[str] = "roll_logits"
    short_name: ClassVar[str] = "tr"
    gives: ClassVar[str] = "rolls"
    default_weight: ClassVar[float] = 0.8
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride", "kind", "normaliser")

    kind: str = field(default="mse", metadata={"choices": losses.TRANSCRIPTION_KINDS})
    normaliser: str = field(default="cells", metadata={"choices": losses.TRANSCRIPTION_NORMALISERS})

    def shape(self) -> tuple[int, int]:
        """Rolls and keys."""
        return self.context.num_transcribed, NUM_PITCHES

    def activate(self, raw: Float[Array, "b t s p"]) -> Float[Array, "b s t p"]:
        """The logits."""
        return raw.swapaxes(1, 2)

    def predict(self, output: Float[Array, "b s t p"]) -> Float[Array, "b s t p"]:
        """The probabilities."""
        return jax.nn.sigmoid(output)

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """`roll` [b s t p], and `labelled` [b s] where sources without labels may be among them."""
        rolls = {"roll": draw_rolls(mixture.notes, mixture.spectrum.shape[1])}
        return rolls if mixture.labelled is None else rolls | {"labelled": mixture.labelled}

    def loss(
        self, raw: Float[Array, "c t s p"], targets: dict[str, Array], first_frame: Array | int
    ) -> Float[Array, " c"]:
        """`losses.transcription_loss`."""
        return losses.transcription_loss(
            self.activate(raw),
            strided(targets["roll"], self.stride, first_frame, 2),
            kind=self.kind,
            normaliser=self.normaliser,
            labelled=targets.get("labelled"),
        )
