"""Can this backend compute in the precision asked for? Asked of the backend itself, once.

No backend of XLA lacks bfloat16: where a processor or GPU (NVIDIA's before Ampere) has no such
instructions, XLA rounds the factors and multiplies in float32, which is right and only slower. A
backend that comes as a plugin may refuse bfloat16, or sum in it.
"""

import functools

import jax
import numpy as np

from cerberus_jax.products import PRECISIONS, product, transposed_product


def check_precision(precision: str) -> None:
    """Raises ValueError for an unknown precision and for one that the backend does not have."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision: one of {PRECISIONS}, got {precision!r}")
    if precision == "bfloat16" and (fault := _fault_of_bfloat16(jax.default_backend())):
        raise ValueError(
            f"precision: 'bfloat16' does not work on {jax.devices()[0].device_kind} "
            f"({jax.default_backend()}): {fault}; use 'float32': in training "
            "--config.model.precision=float32, for a trained network "
            "Predictor(model.clone(precision='float32'), ...)"
        )


@functools.lru_cache
def _fault_of_bfloat16(backend: str) -> str:
    """What is wrong with two small products; '' = nothing.

    Their factors are exact in bfloat16 and their sums are not, so the result tells in which type it
    was summed.
    """
    a, b = np.random.default_rng(0).integers(0, 16, (2, 64, 64)).astype(np.float32)
    both = jax.jit(lambda a, b: (product(a, b, "bfloat16"), transposed_product(a, b, "bfloat16")))
    try:
        products = jax.device_get(both(a, b))
    except jax.errors.JaxRuntimeError as error:
        return str(error).splitlines()[0]
    exact = all(np.array_equal(*pair) for pair in zip(products, (a @ b, a.T @ b), strict=True))
    return "" if exact else "its products are not summed in float32"
