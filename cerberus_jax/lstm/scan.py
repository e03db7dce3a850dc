"""The recurrence as a `lax.scan`: the backend that runs everywhere.

Both directions take their steps in the same loop. In a program for CPUs each multiplies by itself,
since two plain products are faster there than a batched one; in one for GPUs or TPUs, where a step
costs what its launch costs, both are one product (`batched`). Directions are pairs of arrays in
scan order: the second one runs from the end of the song to its beginning.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cerberus_jax.lstm.cell import cell, joined_cell_vjp
from cerberus_jax.platforms import by_platform
from cerberus_jax.products import batched_product, in_memory, product


class Residuals(NamedTuple):
    """What the vjp needs of one direction; gates after their nonlinearity."""

    cells: Float[Array, "t b h"]
    gates: Float[Array, "t b g"]


def forward(
    gate_inputs: tuple[Float[Array, "t b g"], Float[Array, "t b g"]],
    recurrent_kernel: Float[Array, "2 h g"],
    *,
    precision: str,
    batched: bool | None,
    with_residuals: bool,
) -> tuple[tuple[Float[Array, "t b h"], Float[Array, "t b h"]], tuple[Residuals, Residuals] | None]:
    """Hidden states of both directions, and with `with_residuals` what the vjp needs.

    The state begins at zero.

    Args:
        gate_inputs: what is added to the recurrent product before the nonlinearity.
        precision: of the products.
        batched: whether both directions are one product; None: by the platform.
        with_residuals: whether the second result is wanted.
    """
    run = functools.partial(_forward, precision=precision, with_residuals=with_residuals)
    if batched is not None:
        return run(gate_inputs, recurrent_kernel, batched=batched)
    return by_platform(
        gate_inputs,
        recurrent_kernel,
        cpu=functools.partial(run, batched=False),
        elsewhere=functools.partial(run, batched=True),
    )


def _forward(gate_inputs, recurrent_kernel, *, precision, batched, with_residuals):
    multiply = _multiplier(recurrent_kernel, precision, batched)

    def step(states, inputs):
        hidden = multiply([state[0] for state in states])
        stepped = [cell(inputs[d] + hidden[d], states[d][1]) for d in range(2)]
        outputs = tuple(
            (hidden, Residuals(state, gates) if with_residuals else None)
            for hidden, state, gates in stepped
        )
        return [(hidden, state) for hidden, state, _ in stepped], outputs

    zero = jnp.zeros((gate_inputs[0].shape[1], recurrent_kernel.shape[1]), gate_inputs[0].dtype)
    hidden, residuals = zip(*lax.scan(step, [(zero, zero)] * 2, gate_inputs)[1], strict=True)
    return hidden, residuals if with_residuals else None


def vjp(
    recurrent_kernel: Float[Array, "2 h g"],
    residuals: tuple[Residuals, Residuals],
    cotangents: tuple[Float[Array, "t b h"], Float[Array, "t b h"]],
    *,
    precision: str,
    batched: bool | None,
) -> tuple[Float[Array, "t b g"], Float[Array, "t b g"]]:
    """Gradients of the gate inputs from those of the hidden states; see `forward`.

    The products are in float32 on a CPU: rounding the gate gradients costs more there than a
    bfloat16 product saves.
    """
    on_cpu, elsewhere = (False, True) if batched is None else (batched, batched)
    return by_platform(
        recurrent_kernel,
        residuals,
        cotangents,
        cpu=functools.partial(_vjp, precision="float32", batched=on_cpu),
        elsewhere=functools.partial(_vjp, precision=precision, batched=elsewhere),
    )


def _vjp(recurrent_kernel, residuals, cotangents, *, precision, batched):
    multiply = _multiplier(recurrent_kernel.swapaxes(1, 2), precision, batched)
    sequence = tuple(
        (cotangents[d], residuals[d].cells, previous(residuals[d].cells), residuals[d].gates)
        for d in range(2)
    )

    def step(carry, items):
        gate_grads, state_grads = [], []
        for (hidden_grad, state_grad), (cotangent, *states, gates) in zip(
            carry, items, strict=True
        ):
            grads, state_grad = joined_cell_vjp(hidden_grad + cotangent, state_grad, *states, gates)
            gate_grads.append(grads)
            state_grads.append(state_grad)
        return list(zip(multiply(gate_grads), state_grads, strict=True)), tuple(gate_grads)

    zero = jnp.zeros_like(residuals[0].cells[0])
    return lax.scan(step, [(zero, zero)] * 2, sequence, reverse=True)[1]


def previous(array: Float[Array, " t *a"]) -> Float[Array, " t *a"]:
    """The array one step earlier, zero before the first."""
    return jnp.concatenate([jnp.zeros_like(array[:1]), array[:-1]])


def _multiplier(kernel, precision, batched):
    """A function of the rows of both directions: each times its kernel, which is put into the type
    and order of the loop once, before it."""
    if batched:
        kernel = _in_loop(kernel, precision)
        return lambda rows: batched_product(jnp.stack(rows), kernel, precision)
    kernels = [_in_loop(kernel[d], precision) for d in range(2)]
    return lambda rows: [product(rows[d], kernels[d], precision) for d in range(2)]


def _in_loop(kernel, precision):
    kernel = kernel.astype(jnp.bfloat16) if precision == "bfloat16" else kernel
    return in_memory(kernel)
