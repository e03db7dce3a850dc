"""Masks between 0 and 1 on the mixture's magnitude; its phase is used as it is."""

import jax

from cerberus_jax.masks.kind import MaskKind

_TARGETS = ("phase_sensitive", "magnitude")

SOFTMAX = MaskKind(lambda x: jax.nn.softmax(x, axis=-2), _TARGETS)
"""The masks of a bin sum to one over the sources, and so do the estimates to the mixture."""

SIGMOID = MaskKind(jax.nn.sigmoid, _TARGETS)
"""Each mask by itself."""
