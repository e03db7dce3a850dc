"""What a kind of mask is: how it is made, what it is trained towards, how it is applied."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Arrays of numpy as well as of JAX: songs are masked with numpy.
Mask = Any


@dataclass(frozen=True)
class MaskKind:
    """A kind of mask, real or complex.

    Args:
        activation: the mask head's output [*a s*k f] -> masks [*a s f], k = `outputs_per_mask`.
        targets: names in `targets.MASK_TARGETS` of what it may be trained towards. The loss
            compares complex targets with the masked spectrum, real ones with its magnitude.
        outputs_per_mask: numbers that the head gives for each bin of a mask.
        apply: (mask, spectrum of the mixture) -> spectrum of the source.
        resample: (mask [s t f], grid=native_rate.NativeGrid) -> the mask at the frequencies of a
            song of another rate; None for `NativeGrid.resample`, linear interpolation, which suits
            real and complex masks alike.
    """

    activation: Callable[[Any], Mask]
    targets: tuple[str, ...]
    outputs_per_mask: int = 1
    apply: Callable[[Mask, Any], Any] = operator.mul
    resample: Callable[..., Mask] | None = None

    @property
    def is_complex(self) -> bool:
        """Whether its masks are complex: those are trained towards spectra."""
        return "spectrum" in self.targets
