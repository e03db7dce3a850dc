"""Mask inference: one mask per instrument, of a kind from `masks.MASK_KINDS`."""

from dataclasses import dataclass, field
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from cerberus_jax import losses
from cerberus_jax.heads.base import Head, strided
from cerberus_jax.heads.pitchwise import PitchwiseMasks
from cerberus_jax.masks import MASK_KINDS, MaskKind
from cerberus_jax.targets import MASK_TARGETS, Mixture, mask_targets
from cerberus_jax.trunks.base import FEATURES, PITCHES


@dataclass(frozen=True, kw_only=True)
class MaskInference(Head):
    """Masks [b s t f] on the mixture's spectrum.

    Args:
        mask_activation: the kind of mask, from MASK_KINDS.
        kind: 'l1', the distance of the masked mixture from a target, or 'snr', the signal-to-noise
            ratio of complex spectra (`losses.spectral_snr_loss`).
        target: for 'l1', what the masked mixture should be, from MASK_TARGETS; the kind of mask
            must know it.
        silence_db: for 'snr', how far below the mixture a source counts as silent.
        pitch_channels: what every mask takes of every pitch, for trunks that give features of
            pitches (`pitchwise.PitchwiseMasks`); 0 for masks linear in the features of the frame.
    """

    submodule: ClassVar[str] = "mask_head"
    output: ClassVar[str] = "mask"
    short_name: ClassVar[str] = "mi"
    gives: ClassVar[str] = "masks"
    default_weight: ClassVar[float] = 0.1
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("mask_activation",)
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride", "kind", "target", "silence_db")

    mask_activation: str = "softmax"
    kind: str = field(default="l1", metadata={"choices": losses.MASK_INFERENCE_KINDS})
    target: str = "phase_sensitive"
    silence_db: float = field(default=50.0, metadata={"at_least": 0})
    pitch_channels: int = field(default=0, metadata={"at_least": 0})

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """All kinds and targets that are registered."""
        return super().choices() | {
            "mask_activation": tuple(MASK_KINDS),
            "target": tuple(MASK_TARGETS),
        }

    @property
    def mask_kind(self) -> MaskKind:
        """The kind of its masks."""
        return MASK_KINDS[self.mask_activation]

    @property
    def reads(self) -> tuple[str, ...]:
        """The frame's features, and those of every pitch with `pitch_channels`."""
        return (FEATURES, PITCHES) if self.pitch_channels else (FEATURES,)

    @property
    def is_linear(self) -> bool:
        """Without `pitch_channels`."""
        return not self.pitch_channels

    def module(self) -> nn.Module:
        """The parameters."""
        if self.pitch_channels:
            num_masks, _ = self.shape()
            context = self.context
            return PitchwiseMasks(num_masks, context.grid, self.pitch_channels, context.precision)
        return super().module()

    def shape(self) -> tuple[int, int]:
        """Sources, times the numbers each bin of a mask takes, and the bins."""
        return self.context.num_sources * self.mask_kind.outputs_per_mask, self.context.num_bins

    def activate(self, raw: Float[Array, "b t k f"]) -> Inexact[Array, "b s t f"]:
        """The masks."""
        return self.mask_kind.activation(raw).swapaxes(1, 2)

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """`mask_target` [b s t f], and for a complex one `mixture_spectrum` [b t f].

        Raises:
            ValueError: if masks of this kind cannot be trained towards this target.
        """
        if self.kind == "snr":
            return _spectra(mixture, self.mask_kind.is_complex)
        if self.target not in self.mask_kind.targets:
            raise ValueError(
                f"mask_inference_target: {self.mask_activation!r} masks are trained towards one of "
                f"{', '.join(self.mask_kind.targets)}, got {self.target!r}"
            )
        target = mask_targets(mixture.spectrum, mixture.source_spectra, kind=self.target)
        if jnp.iscomplexobj(target):
            return {"mask_target": target, "mixture_spectrum": mixture.spectrum}
        return {"mask_target": target}

    def loss(
        self, raw: Float[Array, "c t k f"], targets: dict[str, Array], first_frame: Array | int
    ) -> Float[Array, " c"]:
        """`losses.mask_inference_loss` or `losses.spectral_snr_loss`."""
        if self.kind == "snr":
            return self._snr_loss(raw, targets, first_frame)
        target = strided(targets["mask_target"], self.stride, first_frame, 2)
        mixture = "mixture_spectrum" if jnp.iscomplexobj(target) else "mixture_magnitude"
        mixture = strided(targets[mixture], self.stride, first_frame, 1)
        return losses.mask_inference_loss(self.activate(raw), mixture, target)

    def _snr_loss(self, raw, targets, first_frame):
        def picked(name, axis):
            return strided(targets[name], self.stride, first_frame, axis)

        mixture, energy = picked("mixture_magnitude", 1), picked("source_energy", 2).sum(2)
        masks = self.activate(raw)
        if self.mask_kind.is_complex:
            distance = masks * picked("mixture_spectrum", 1)[:, None] - picked("source_spectrum", 2)
            error = (distance.real**2 + distance.imag**2).sum((2, 3))
        else:
            # |S - M X|^2 = M |X| (M |X| - 2 P) + |S|^2, P being S projected on the phase of X.
            masked = masks * mixture[:, None]
            error = (masked * (masked - 2 * picked("source_projection", 2))).sum((2, 3)) + energy
        return losses.spectral_snr_loss(
            jnp.maximum(error, 0),
            energy,
            (mixture**2).sum((1, 2)),
            silence_db=self.silence_db,
        )


def _spectra(mixture: Mixture, is_complex: bool) -> dict[str, Array]:
    spectra = mixture.source_spectra
    energy = {"source_energy": (spectra.real**2 + spectra.imag**2).sum(3)}
    if is_complex:
        return energy | {"source_spectrum": spectra, "mixture_spectrum": mixture.spectrum}
    magnitude = jnp.abs(mixture.spectrum)
    phase = mixture.spectrum / jnp.maximum(magnitude, jnp.finfo(magnitude.dtype).tiny ** 0.5)
    return energy | {"source_projection": (spectra * jnp.conj(phase)[:, None]).real}
