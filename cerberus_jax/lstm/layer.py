"""One bidirectional LSTM layer, with a backward pass written by hand.

Autodiff of a scan accumulates the weight gradients inside the loop. Here the forward loop saves
gates and cells, and each weight gradient is one product after it, as is each product with the
inputs before it. Only the recurrence itself is left to a backend (scan.py, persistent.py). Arrays
are time-major inside this package, and every device runs its own examples: flattening time and a
sharded batch into one axis would gather it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.lstm import backends, scan
from cerberus_jax.per_device import REPLICATED, per_device, sharded
from cerberus_jax.products import product, transposed_product

_EXAMPLES = sharded(axis=1)


class _Settings(NamedTuple):
    backend: str
    precision: str
    mesh: Mesh | None


def bidirectional_lstm(
    inputs: Float[Array, "t b d"],
    input_kernel: Float[Array, "2 d g"],
    recurrent_kernel: Float[Array, "2 h g"],
    bias: Float[Array, "2 g"],
    *,
    precision: str = "float32",
    recurrence: str = "auto",
    mesh: Mesh | None = None,
) -> Float[Array, "t b 2*h"]:
    """Hidden states of both directions side by side (forward first), in time order.

    Gates stand in the order input, forget, update, output (that of PyTorch), g = 4 h. The state
    begins at zero.

    Args:
        inputs, input_kernel, recurrent_kernel, bias: as their shapes say; 2 are the directions.
        precision: that of the products; state and sums stay in the input's type.
        recurrence: one of `BACKENDS`; all give the same result within rounding.
        mesh: devices over which the examples are spread, None for one device.

    Raises:
        ValueError: if `recurrence` is unknown.
    """
    batch = inputs.shape[1] // (mesh.size if mesh else 1)
    hidden = recurrent_kernel.shape[1]
    backend = backends.choose(recurrence, batch=batch, hidden=hidden, precision=precision)
    weights = (input_kernel, recurrent_kernel, bias)
    return _layer(_Settings(backend, precision, mesh), inputs, weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(settings, inputs, weights):
    """Inference: nothing but the hidden states leaves the loop."""

    def run(inputs, weights):
        return _in_time_order(*_recur(inputs, weights, settings, with_residuals=False)[0])

    return per_device(run, settings.mesh, (_EXAMPLES, REPLICATED), _EXAMPLES)(inputs, weights)


def _forward(settings, inputs, weights):
    def run(inputs, weights):
        hidden, residuals = _recur(inputs, weights, settings, with_residuals=True)
        return _in_time_order(*hidden), hidden, residuals

    specs = (_EXAMPLES, _EXAMPLES, backends.backend(settings.backend).residual_spec)
    outputs, *residuals = per_device(run, settings.mesh, (_EXAMPLES, REPLICATED), specs)(
        inputs, weights
    )
    return outputs, (inputs, weights, *residuals)


def _backward(settings, residuals, cotangent):
    def run(*args):
        input_grad, weight_grads = _gradients(*args, settings)
        is_sharded = settings.mesh is not None
        return input_grad, lax.psum(weight_grads, "data") if is_sharded else weight_grads

    residual_spec = backends.backend(settings.backend).residual_spec
    specs = (_EXAMPLES, REPLICATED, _EXAMPLES, residual_spec, _EXAMPLES)
    return per_device(run, settings.mesh, specs, (_EXAMPLES, REPLICATED))(*residuals, cotangent)


_layer.defvjp(_forward, _backward)


def _recur(inputs, weights, settings, *, with_residuals):
    """Hidden states and residuals, as the backend gives them."""
    input_kernel, recurrent_kernel, bias = weights
    gate_inputs = tuple(
        (product(rows, input_kernel[d], settings.precision) + bias[d]).reshape(
            *inputs.shape[:2], -1
        )
        for d, rows in enumerate(_rows_in_scan_order(inputs))
    )
    forward = backends.backend(settings.backend).forward
    return forward(
        gate_inputs, recurrent_kernel, precision=settings.precision, with_residuals=with_residuals
    )


def _gradients(inputs, weights, hidden, residuals, cotangent, settings):
    input_kernel, recurrent_kernel, _ = weights
    precision, units = settings.precision, recurrent_kernel.shape[1]
    cotangents = (cotangent[..., :units], cotangent[::-1, :, units:])
    vjp = backends.backend(settings.backend).vjp
    gate_grads = vjp(recurrent_kernel, residuals, cotangents, precision=precision)
    gate_grads = [_rows(grad) for grad in gate_grads]
    input_grads = [
        product(gate_grads[d], input_kernel[d].T, precision).reshape(inputs.shape) for d in range(2)
    ]
    kernel_grads = []
    for d, rows in enumerate(_rows_in_scan_order(inputs)):
        # One product for both kernels: what came in and what came round.
        inputs_and_states = jnp.concatenate([rows, _rows(scan.previous(hidden[d]))], axis=1)
        kernel_grads.append(transposed_product(inputs_and_states, gate_grads[d], precision))
    kernel_grads = jnp.stack(kernel_grads)
    num_inputs = inputs.shape[-1]
    weight_grads = (
        kernel_grads[:, :num_inputs],
        kernel_grads[:, num_inputs:],
        jnp.stack([grad.sum(0) for grad in gate_grads]),
    )
    return input_grads[0] + input_grads[1][::-1], weight_grads


def _rows_in_scan_order(inputs):
    return _rows(inputs), _rows(inputs[::-1])


def _in_time_order(forward, backward):
    """Both directions side by side; the backward one comes in the order it was computed."""
    return jnp.concatenate([forward, backward[::-1]], axis=-1)


def _rows(array):
    return array.reshape(-1, array.shape[-1])
