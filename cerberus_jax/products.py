"""Matrix products at the precision asked for.

'bfloat16' rounds the factors and sums in float32; 'float32' leaves the type of the factors as it
is, and how they are multiplied to `jax_default_matmul_precision`: by default NVIDIA GPUs take
TensorFloat-32 and TPUs bfloat16. The gradient of a bfloat16 product is made of bfloat16 products,
and XLA's CPU backend wants two things of those: no batch axis (it has no batched bfloat16 product
with float32 sums), and a left factor that really lies in memory the way it is multiplied (half the
speed otherwise). Programs for other platforms have neither.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

from cerberus_jax.platforms import by_platform

PRECISIONS = ("float32", "bfloat16")


def product(
    a: Float[Array, "n k"], b: Float[Array, "k m"], precision: str = "float32"
) -> Float[Array, "n m"]:
    """a @ b."""
    return _rounded_product(a, b) if precision == "bfloat16" else jnp.matmul(a, b)


def transposed_product(
    a: Float[Array, "n k"], b: Float[Array, "n m"], precision: str = "float32"
) -> Float[Array, "k m"]:
    """a.T @ b: what gradients of weights are made of, n being long."""
    if precision == "bfloat16":
        return _sum_of_products(_really_transposed(_rounded(a)), _rounded(b))
    return jnp.matmul(a.T, b)


def batched_product(
    a: Float[Array, "d n k"], b: Float[Array, "d k m"], precision: str = "float32"
) -> Float[Array, "d n m"]:
    """a[i] @ b[i] for every i, as one product. Not differentiable in 'bfloat16'."""
    if precision != "bfloat16":
        return jnp.matmul(a, b)
    return jax.vmap(_sum_of_products)(_rounded(a), _rounded(b))


def in_memory(array: Array) -> Array:
    """The same array, which XLA on a CPU computes once and writes, instead of in every loop and
    product that reads it; elsewhere a loop less counts for more, and XLA may choose."""
    return by_platform(array, cpu=lax.optimization_barrier, elsewhere=lambda array: array)


@jax.custom_vjp
def _rounded_product(a, b):
    return _sum_of_products(_rounded(a), _rounded(b)).astype(jnp.result_type(a, jnp.float32))


def _product_forward(a, b):
    return _rounded_product(a, b), (a, b)


def _product_backward(factors, cotangent):
    a, b = factors
    a_grad = _rounded_product(cotangent, b.T)
    b_grad = transposed_product(a, cotangent, "bfloat16")
    return a_grad.astype(a.dtype), b_grad.astype(b.dtype)


_rounded_product.defvjp(_product_forward, _product_backward)


def _rounded(array):
    return array.astype(jnp.bfloat16)


def _sum_of_products(a, b):
    return by_platform(a, b, cpu=_one_by_one, elsewhere=_float32_sums)


def _float32_sums(a, b):
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


# Under vmap a loop of plain products instead of a batched one.
_one_by_one = jax.custom_batching.sequential_vmap(_float32_sums)


def _really_transposed(a):
    """a.T, on a CPU as a copy in row-major order."""
    return by_platform(a, cpu=_transposed_copy, elsewhere=jnp.transpose)


@jax.custom_batching.sequential_vmap
def _transposed_copy(a):
    rows = Layout(major_to_minor=(0, 1))
    copy = lax.optimization_barrier(with_layout_constraint(a.T, rows))
    return with_layout_constraint(copy, rows)
