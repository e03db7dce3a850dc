"""Transcription: one piano roll per instrument that has notes."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Array, Float

from cerberus_jax import losses
from cerberus_jax.heads.base import strided
from cerberus_jax.heads.rolls import RollHead
from cerberus_jax.targets import Mixture, draw_rolls


@dataclass(frozen=True, kw_only=True)
class Transcription(RollHead):
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

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """`roll` [b s t p], and what `with_labelled` adds."""
        roll = draw_rolls(mixture.notes, mixture.spectrum.shape[1])
        return self.with_labelled({"roll": roll}, mixture)

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
