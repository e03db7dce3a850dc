"""Mask inference: one mask per instrument, of a kind from `masks.MASK_KINDS`."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from cerberus_jax import losses
from cerberus_jax.heads.base import Head, strided
from cerberus_jax.masks import MASK_KINDS, MaskKind
from cerberus_jax.targets import MASK_TARGETS, Mixture, mask_targets


@dataclass(frozen=True, kw_only=True)
class MaskInference(Head):
    """Masks [b s t f] on the mixture's spectrum.

    Args:
        mask_activation: the kind of mask, from MASK_KINDS.
        target: what the masked mixture should be, from MASK_TARGETS; the kind must know it.
    """

    submodule: ClassVar[str] = "mask_head"
    output: ClassVar[str] = "mask"
    short_name: ClassVar[str] = "mi"
    gives: ClassVar[str] = "masks"
    default_weight: ClassVar[float] = 0.1
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("mask_activation",)
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride", "target")

    mask_activation: str = "softmax"
    target: str = "phase_sensitive"

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """All kinds and targets that are registered."""
        return {"mask_activation": tuple(MASK_KINDS), "target": tuple(MASK_TARGETS)}

    @property
    def kind(self) -> MaskKind:
        """The kind of its masks."""
        return MASK_KINDS[self.mask_activation]

    def shape(self) -> tuple[int, int]:
        """Sources, times the numbers each bin of a mask takes, and the bins."""
        return self.context.num_sources * self.kind.outputs_per_mask, self.context.num_bins

    def activate(self, raw: Float[Array, "b t k f"]) -> Inexact[Array, "b s t f"]:
        """The masks."""
        return self.kind.activation(raw).swapaxes(1, 2)

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """`mask_target` [b s t f], and for a complex one `mixture_spectrum` [b t f].

        Raises:
            ValueError: if masks of this kind cannot be trained towards this target.
        """
        if self.target not in self.kind.targets:
            raise ValueError(
                f"mask_inference_target: {self.mask_activation!r} masks are trained towards one of "
                f"{', '.join(self.kind.targets)}, got {self.target!r}"
            )
        target = mask_targets(mixture.spectrum, mixture.source_spectra, kind=self.target)
        if jnp.iscomplexobj(target):
            return {"mask_target": target, "mixture_spectrum": mixture.spectrum}
        return {"mask_target": target}

    def loss(
        self, raw: Float[Array, "c t k f"], targets: dict[str, Array], first_frame: Array | int
    ) -> Float[Array, " c"]:
        """`losses.mask_inference_loss`."""
        target = strided(targets["mask_target"], self.stride, first_frame, 2)
        mixture = "mixture_spectrum" if jnp.iscomplexobj(target) else "mixture_magnitude"
        mixture = strided(targets[mixture], self.stride, first_frame, 1)
        return losses.mask_inference_loss(self.activate(raw), mixture, target)
