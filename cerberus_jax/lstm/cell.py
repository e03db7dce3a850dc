"""One step of an LSTM cell and its vjp, on any leading axes.

Gates stand in the order input, forget, update, output (that of PyTorch), g = 4 h. A step handles a
few thousand numbers, so on a CPU the number of loops over them is what it costs, and not what they
compute: gates stay side by side in one array where they can.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cerberus_jax.products import in_memory


def cell(
    gate_inputs: Float[Array, "*a g"], state: Float[Array, "*a h"]
) -> tuple[Float[Array, "*a h"], Float[Array, "*a h"], Float[Array, "*a g"]]:
    """The new hidden state, the new cell state, and the four gates after their nonlinearity."""
    in_gate, forget, update, out_gate = jnp.split(gate_inputs, 4, axis=-1)
    gates = [_sigmoid(in_gate), _sigmoid(forget), jnp.tanh(update), _sigmoid(out_gate)]
    gates = in_memory(jnp.concatenate(gates, axis=-1))
    in_gate, forget, update, out_gate = jnp.split(gates, 4, axis=-1)
    state = forget * state + in_gate * update
    return out_gate * jnp.tanh(state), state, gates


def cell_vjp(
    hidden_grad: Float[Array, "*a h"],
    state_grad: Float[Array, "*a h"],
    state: Float[Array, "*a h"],
    previous_state: Float[Array, "*a h"],
    gates: tuple[Float[Array, "*a h"], ...],
) -> tuple[tuple[Float[Array, "*a h"], ...], Float[Array, "*a h"]]:
    """Gradients of the inputs of the four gates, and of the previous cell state.

    Args:
        hidden_grad: gradient of the hidden state, all its uses summed.
        state_grad: gradient of the cell state that comes from the step after.
        state, previous_state: the cell state of this step and of the one before.
        gates: the four gates after their nonlinearity.
    """
    in_gate, forget, update, out_gate = gates
    squashed = jnp.tanh(state)
    state_grad = state_grad + hidden_grad * out_gate * (1 - squashed * squashed)
    gate_grads = (
        state_grad * update * in_gate * (1 - in_gate),
        state_grad * previous_state * forget * (1 - forget),
        state_grad * in_gate * (1 - update * update),
        hidden_grad * squashed * out_gate * (1 - out_gate),
    )
    return gate_grads, state_grad * forget


def joined_cell_vjp(
    hidden_grad: Float[Array, "*a h"],
    state_grad: Float[Array, "*a h"],
    state: Float[Array, "*a h"],
    previous_state: Float[Array, "*a h"],
    gates: Float[Array, "*a g"],
) -> tuple[Float[Array, "*a g"], Float[Array, "*a h"]]:
    """`cell_vjp` with the gates, and the gradients of their inputs, side by side."""
    in_gate, forget, update, out_gate = jnp.split(gates, 4, axis=-1)
    squashed = jnp.tanh(state)
    state_grad = state_grad + hidden_grad * out_gate * (1 - squashed * squashed)
    from_outside = jnp.concatenate([*[state_grad] * 3, hidden_grad * squashed], axis=-1)
    beside = jnp.concatenate([update, previous_state, in_gate, jnp.ones_like(in_gate)], axis=-1)
    is_update = lax.broadcasted_iota(jnp.int32, gates.shape, gates.ndim - 1) // state.shape[-1] == 2
    slope = jnp.where(is_update, 1 - gates * gates, gates * (1 - gates))
    return from_outside * beside * slope, state_grad * forget


def _sigmoid(x):
    """By way of the hyperbolic tangent: on a CPU a forward step of 8 x 300 units took 115 to 122 us
    with it, 125 to 130 with the exponential."""
    return 0.5 * jnp.tanh(0.5 * x) + 0.5
