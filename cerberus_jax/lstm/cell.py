"""One step of an LSTM cell and its transpose, on any leading axes.

Gates stand in the order input, forget, update, output (that of PyTorch), g = 4 h.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def cell(
    gate_inputs: Float[Array, "*a g"], state: Float[Array, "*a h"]
) -> tuple[Float[Array, "*a h"], Float[Array, "*a h"], tuple[Float[Array, "*a h"], ...]]:
    """The new hidden state, the new cell state, and the four gates after their nonlinearity."""
    in_gate, forget, update, out_gate = jnp.split(gate_inputs, 4, axis=-1)
    in_gate, forget = jax.nn.sigmoid(in_gate), jax.nn.sigmoid(forget)
    out_gate, update = jax.nn.sigmoid(out_gate), jnp.tanh(update)
    state = forget * state + in_gate * update
    return out_gate * jnp.tanh(state), state, (in_gate, forget, update, out_gate)


def cell_transpose(
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
