"""The kinds of masks a network may give, by name: to add one, write a file and a line here."""

from cerberus_jax.masks.consistent import COMPLEX, REAL
from cerberus_jax.masks.kind import MaskKind
from cerberus_jax.masks.real import SIGMOID, SOFTMAX

MASK_KINDS: dict[str, MaskKind] = {
    "softmax": SOFTMAX,
    "sigmoid": SIGMOID,
    "real": REAL,
    "complex": COMPLEX,
}
