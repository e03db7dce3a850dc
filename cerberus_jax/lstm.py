"""The recurrence of one bidirectional LSTM layer, with a backward pass written by hand.

Autodiff of a scan accumulates the weight gradients inside the loop. Here the loop keeps gates and
cells, and each weight gradient is one product after it. The two directions stay apart: on a CPU
batched products are slower than two plain ones. Arrays are time-major inside this file, and every
device runs its own examples: flattening time and a sharded batch into one axis would gather it.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.per_device import ALIKE, examples, per_device

PRECISIONS = ("float32", "bfloat16")

_EXAMPLES = examples(axis=1)


def product(a, b, precision: str):
    """a @ b; 'bfloat16' rounds the factors and sums in float32, anything else keeps their type."""
    if precision == "bfloat16":
        a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
        return jnp.matmul(a, b, preferred_element_type=jnp.float32)
    return jnp.matmul(a, b)


def bidirectional_lstm(
    inputs: Float[Array, "t b d"],
    input_kernel: Float[Array, "2 d g"],
    recurrent_kernel: Float[Array, "2 h g"],
    bias: Float[Array, "2 g"],
    *,
    precision: str = "float32",
    mesh: Mesh | None = None,
) -> Float[Array, "t b 2*h"]:
    """Hidden states of both directions side by side (forward first), in time order.

    Gates stand in the order input, forget, cell, output (that of PyTorch), g = 4 h. The state
    begins at zero. `precision` is that of the products; state and sums stay in the input's type.
    `mesh`: devices over which the examples are spread, None for one device.
    """
    return _layer((precision, mesh), inputs, (input_kernel, recurrent_kernel, bias))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(settings, inputs, weights):
    def run(inputs, weights):
        return _join(*_scan_forward(inputs, weights, settings[0], keep=False))

    return per_device(run, settings[1], (_EXAMPLES, ALIKE), _EXAMPLES)(inputs, weights)


def _forward(settings, inputs, weights):
    def run(inputs, weights):
        kept = _scan_forward(inputs, weights, settings[0], keep=True)
        return _join(kept[0][0], kept[1][0]), kept

    hidden, kept = per_device(run, settings[1], (_EXAMPLES, ALIKE), _EXAMPLES)(inputs, weights)
    return hidden, (inputs, weights, kept)


def _backward(settings, saved, cotangent):
    precision, mesh = settings

    def run(inputs, weights, kept, cotangent):
        input_grad, weight_grads = _gradients(inputs, weights, kept, cotangent, precision)
        return input_grad, weight_grads if mesh is None else lax.psum(weight_grads, "data")

    specs = (_EXAMPLES, ALIKE, _EXAMPLES, _EXAMPLES)
    return per_device(run, mesh, specs, (_EXAMPLES, ALIKE))(*saved, cotangent)


_layer.defvjp(_forward, _backward)


def _join(forward, backward):
    """Both directions in time order; the backward one comes in the order it was computed."""
    return jnp.concatenate([forward, backward[::-1]], axis=-1)


def _flat(array):
    return array.reshape(-1, array.shape[-1])


def _gate_inputs(inputs, weights, precision):
    """The part of the gates that needs no loop, one 2-D product per direction."""
    input_kernel, _, bias = weights
    ordered = (inputs, inputs[::-1])
    return [
        (product(_flat(ordered[d]), input_kernel[d], precision) + bias[d]).reshape(
            *inputs.shape[:2], -1
        )
        for d in range(2)
    ]


def _cell(gate_inputs, cell):
    in_gate, forget, update, out_gate = jnp.split(gate_inputs, 4, axis=-1)
    in_gate, forget = jax.nn.sigmoid(in_gate), jax.nn.sigmoid(forget)
    out_gate, update = jax.nn.sigmoid(out_gate), jnp.tanh(update)
    cell = forget * cell + in_gate * update
    return out_gate * jnp.tanh(cell), cell, (in_gate, forget, update, out_gate)


def _in_loop(kernel, precision):
    """A loop's weight in the type the loop multiplies in, made once before it."""
    if precision == "bfloat16":
        return lax.optimization_barrier(kernel.astype(jnp.bfloat16))
    return kernel


def _scan_forward(inputs, weights, precision, *, keep):
    """Per direction, in scan order: hidden, or (hidden, cells, gates) if the backward pass
    will need them."""
    kernels = [_in_loop(weights[1][d], precision) for d in range(2)]

    def step(carry, gate_inputs):
        states, outputs = [], []
        for d in range(2):
            hidden, cell = carry[d]
            pre = gate_inputs[d] + product(hidden, kernels[d], precision)
            hidden, cell, gates = _cell(pre, cell)
            states.append((hidden, cell))
            outputs.append((hidden, cell, jnp.concatenate(gates, -1)) if keep else hidden)
        return states, outputs

    zero = jnp.zeros((inputs.shape[1], weights[1].shape[1]), inputs.dtype)
    start = [(zero, zero), (zero, zero)]
    return lax.scan(step, start, _gate_inputs(inputs, weights, precision))[1]


def _previous(array):
    """The array one step earlier, zero before the first."""
    return jnp.concatenate([jnp.zeros_like(array[:1]), array[:-1]])


def _gradients(inputs, weights, kept, cotangent, precision):
    gate_grads = [_flat(g) for g in _scan_backward(weights[1], kept, cotangent, precision)]
    ordered = (_flat(inputs), _flat(inputs[::-1]))
    input_grads = [
        product(gate_grads[d], weights[0][d].T, precision).reshape(inputs.shape) for d in range(2)
    ]
    kernel_grad = jnp.stack([product(ordered[d].T, gate_grads[d], precision) for d in range(2)])
    recurrent_grad = jnp.stack(
        [product(_flat(_previous(kept[d][0])).T, gate_grads[d], precision) for d in range(2)]
    )
    bias_grad = jnp.stack([g.sum(0) for g in gate_grads])
    return input_grads[0] + input_grads[1][::-1], (kernel_grad, recurrent_grad, bias_grad)


def _scan_backward(recurrent_kernel, kept, cotangent, precision):
    """Gradients of the gates' pre-activations, per direction in scan order, each [t b 4h]."""
    hidden = recurrent_kernel.shape[1]
    kernels = [_in_loop(recurrent_kernel[d].T, precision) for d in range(2)]
    cotangents = (cotangent[..., :hidden], cotangent[::-1, :, hidden:])
    sequence = [
        (cotangents[d], cells, _previous(cells), gates) for d, (_, cells, gates) in enumerate(kept)
    ]

    def step(carry, items):
        states, outputs = [], []
        for d in range(2):
            hidden_grad, cell_grad = carry[d]
            gate_grad, cell_grad = _cell_backward(hidden_grad, cell_grad, *items[d])
            states.append((product(gate_grad, kernels[d], precision), cell_grad))
            outputs.append(gate_grad)
        return states, outputs

    zero = jnp.zeros(kept[0][1].shape[1:], kept[0][1].dtype)
    start = [(zero, zero), (zero, zero)]
    return lax.scan(step, start, sequence, reverse=True)[1]


def _cell_backward(hidden_grad, cell_grad, cotangent, cell, previous_cell, gates):
    in_gate, forget, update, out_gate = jnp.split(gates, 4, axis=-1)
    squashed = jnp.tanh(cell)
    hidden_grad = hidden_grad + cotangent
    cell_grad = cell_grad + hidden_grad * out_gate * (1 - squashed * squashed)
    gate_grad = jnp.concatenate(
        [
            cell_grad * update * in_gate * (1 - in_gate),
            cell_grad * previous_cell * forget * (1 - forget),
            cell_grad * in_gate * (1 - update * update),
            hidden_grad * squashed * out_gate * (1 - out_gate),
        ],
        axis=-1,
    )
    return gate_grad, cell_grad * forget
