"""The stacked bidirectional LSTM, the paper's trunk."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.lstm import bidirectional_lstm
from cerberus_jax.trunks.base import FEATURES, Trunk


def _bias_init(key, shape, dtype=jnp.float32):
    """Zeros, and one for the forget gate, so that a fresh cell remembers."""
    del key
    hidden = shape[-1] // 4
    return jnp.zeros(shape, dtype).at[..., hidden : 2 * hidden].set(1)


def dropout(key: Array, features: Float[Array, "*a k"], rate: float) -> Float[Array, "*a k"]:
    """Features set to zero with probability `rate` (to 16 bits), the others scaled up.

    Each 32 random bits decide about two features: drawing them is what dropout costs on a CPU.
    """
    *places, count = features.shape
    pairs = (*places, -(-count // 2))
    bits = jax.lax.bitcast_convert_type(jax.random.bits(key, pairs, jnp.uint32), jnp.uint16)
    dropped = bits.reshape(*places, -1)[..., :count] < round(rate * 2**16)
    return jnp.where(dropped, 0, features / (1 - rate))


class Layer(nn.Module):
    """One bidirectional LSTM layer; parameters carry the direction on their first axis."""

    hidden: int
    precision: str = "float32"
    recurrence: str = "auto"
    mesh: Mesh | None = None

    @nn.compact
    def __call__(self, inputs: Float[Array, "t b d"]) -> Float[Array, "t b k"]:
        gates = 4 * self.hidden
        init = initializers.variance_scaling(1.0, "fan_avg", "normal", batch_axis=(0,))
        input_kernel = self.param("input_kernel", init, (2, inputs.shape[-1], gates))
        recurrent_kernel = self.param("recurrent_kernel", init, (2, self.hidden, gates))
        bias = self.param("bias", _bias_init, (2, gates))
        return bidirectional_lstm(
            inputs,
            input_kernel,
            recurrent_kernel,
            bias,
            precision=self.precision,
            recurrence=self.recurrence,
            mesh=self.mesh,
        )


class BLSTM(Trunk, kw_only=True):
    """Layers of `hidden` units per direction, dropout between them (not after the last).

    Manilow et al. (2020): the stack of bidirectional LSTMs that the three heads share.
    """

    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ("layers", "hidden", "dropout")

    layers: int = 4
    hidden: int = 300
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, inputs: dict[str, Float[Array, "b t f"]], *, train: bool
    ) -> dict[str, Float[Array, "b t k"]]:
        """Features [b t 2*hidden]."""
        x = inputs["scaled"].swapaxes(0, 1)
        drops = train and self.dropout > 0
        for k in range(self.layers):
            if k and drops:
                x = dropout(self.make_rng("dropout"), x, self.dropout)
            x = Layer(self.hidden, self.precision, self.recurrence, self.mesh, name=f"layer_{k}")(x)
        return {FEATURES: x.swapaxes(0, 1)}
