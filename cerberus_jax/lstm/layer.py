"""One bidirectional LSTM layer, with a backward pass written by hand.

Autodiff of a scan accumulates the weight gradients inside the loop. Here the loop keeps gates and
cells, and each weight gradient is one product after it, as is each product with the inputs before
it. Only the recurrence itself is left to a path (scan.py, persistent.py). Arrays are time-major
inside this package, and every device runs its own examples: flattening time and a sharded batch
into one axis would gather it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.lstm import paths, scan
from cerberus_jax.per_device import ALIKE, examples, per_device
from cerberus_jax.products import product, transposed_product

_EXAMPLES = examples(axis=1)


class _Settings(NamedTuple):
    path: str
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
        recurrence: one of `PATHS`; all give the same result within rounding.
        mesh: devices over which the examples are spread, None for one device.

    Raises:
        ValueError: if `recurrence` is unknown.
    """
    batch = inputs.shape[1] // (mesh.size if mesh else 1)
    hidden = recurrent_kernel.shape[1]
    path = paths.choose(recurrence, batch=batch, hidden=hidden, precision=precision)
    weights = (input_kernel, recurrent_kernel, bias)
    return _layer(_Settings(path, precision, mesh), inputs, weights)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(settings, inputs, weights):
    """Inference: nothing but the hidden states leaves the loop."""

    def run(inputs, weights):
        return _in_time_order(*_recur(inputs, weights, settings, keep=False)[0])

    return per_device(run, settings.mesh, (_EXAMPLES, ALIKE), _EXAMPLES)(inputs, weights)


def _forward(settings, inputs, weights):
    def run(inputs, weights):
        hidden, kept = _recur(inputs, weights, settings, keep=True)
        return _in_time_order(*hidden), hidden, kept

    specs = (_EXAMPLES, _EXAMPLES, paths.path(settings.path).kept_spec)
    outputs, *kept = per_device(run, settings.mesh, (_EXAMPLES, ALIKE), specs)(inputs, weights)
    return outputs, (inputs, weights, *kept)


def _backward(settings, saved, cotangent):
    def run(*args):
        input_grad, weight_grads = _gradients(*args, settings)
        spread = settings.mesh is not None
        return input_grad, lax.psum(weight_grads, "data") if spread else weight_grads

    kept_spec = paths.path(settings.path).kept_spec
    specs = (_EXAMPLES, ALIKE, _EXAMPLES, kept_spec, _EXAMPLES)
    return per_device(run, settings.mesh, specs, (_EXAMPLES, ALIKE))(*saved, cotangent)


_layer.defvjp(_forward, _backward)


def _recur(inputs, weights, settings, *, keep):
    """Hidden states and what is kept, as the path gives them."""
    input_kernel, recurrent_kernel, bias = weights
    gate_inputs = tuple(
        (product(rows, input_kernel[d], settings.precision) + bias[d]).reshape(
            *inputs.shape[:2], -1
        )
        for d, rows in enumerate(_rows_in_scan_order(inputs))
    )
    recur = paths.path(settings.path).recur
    return recur(gate_inputs, recurrent_kernel, precision=settings.precision, keep=keep)


def _gradients(inputs, weights, hidden, kept, cotangent, settings):
    input_kernel, recurrent_kernel, _ = weights
    precision, units = settings.precision, recurrent_kernel.shape[1]
    cotangents = (cotangent[..., :units], cotangent[::-1, :, units:])
    transpose = paths.path(settings.path).transpose
    gate_grads = transpose(recurrent_kernel, kept, cotangents, precision=precision)
    gate_grads = [_rows(grad) for grad in gate_grads]
    input_grads = [
        product(gate_grads[d], input_kernel[d].T, precision).reshape(inputs.shape) for d in range(2)
    ]
    kernel_grads = []
    for d, rows in enumerate(_rows_in_scan_order(inputs)):
        # One product for both kernels: what came in and what came round.
        seen = jnp.concatenate([rows, _rows(scan.previous(hidden[d]))], axis=1)
        kernel_grads.append(transposed_product(seen, gate_grads[d], precision))
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
