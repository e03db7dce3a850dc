"""Onsets: beside the roll of what sounds, one per instrument of where notes begin.

Decoding joins both rolls (decoding.py), so the head has a use only beside `transcription`.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Array, Float

from cerberus_jax import losses
from cerberus_jax.heads.base import strided
from cerberus_jax.heads.rolls import RollHead
from cerberus_jax.targets import Mixture, draw_onsets, soften_onsets


@dataclass(frozen=True, kw_only=True)
class Onsets(RollHead):
    """Onset logits [b s t p] of the transcribed instruments.

    Args:
        kind: see `losses.onset_loss`.
        width: frames within which the target falls from one to zero on either side of an onset
            (`targets.soften_onsets`); 1 is the frame of the onset alone.
    """

    submodule: ClassVar[str] = "onset_head"
    output: ClassVar[str] = "onset_logits"
    short_name: ClassVar[str] = "on"
    gives: ClassVar[str] = "onsets"
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride", "kind", "width")

    kind: str = field(default="mse", metadata={"choices": losses.TRANSCRIPTION_KINDS})
    width: int = field(default=1, metadata={"at_least": 1})

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """`onset_roll` [b s t p], and what `with_labelled` adds."""
        roll = draw_onsets(mixture.notes, mixture.spectrum.shape[1])
        return self.with_labelled({"onset_roll": roll}, mixture)

    def loss(
        self, raw: Float[Array, "c t s p"], targets: dict[str, Array], first_frame: Array | int
    ) -> Float[Array, " c"]:
        """`losses.onset_loss`."""
        return losses.onset_loss(
            self.activate(raw),
            strided(soften_onsets(targets["onset_roll"], self.width), self.stride, first_frame, 2),
            kind=self.kind,
            labelled=targets.get("labelled"),
        )
