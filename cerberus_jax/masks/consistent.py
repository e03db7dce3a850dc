"""Masks of any value that sum to one by construction: above one, negative or complex.

What their sum lacks is shared out among the sources (mixture consistency: Wisdom et al., 2019, with
equal weights), so the estimates sum to the mixture as those of softmax masks do.
"""

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Inexact

from cerberus_jax.masks.kind import MaskKind


def consistent(masks: Inexact[Array, "*a s f"]) -> Inexact[Array, "*a s f"]:
    """The nearest masks that sum to one."""
    return masks + (1 - masks.sum(-2, keepdims=True)) / masks.shape[-2]


def _complex(raw: Float[Array, "*a k f"]) -> Complex[Array, "*a s f"]:
    parts = raw.reshape(*raw.shape[:-2], -1, 2, raw.shape[-1])
    return consistent(jnp.asarray(parts[..., 0, :] + 1j * parts[..., 1, :]))


REAL = MaskKind(consistent, ("phase_sensitive", "magnitude"))
"""Real masks; the mixture's phase is used as it is, or turned around."""

COMPLEX = MaskKind(_complex, ("spectrum",), outputs_per_mask=2)
"""Complex masks change the phase too."""
