"""The three heads: one linear layer and an activation each, on the trunk's features.

The functions work on plain parameter dictionaries, so that the model and the joint loss run the
same code. Frequency is kept as the minor axis throughout: a minor axis of 20 would be padded to 128
on a TPU, and is no faster elsewhere.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers
from jaxtyping import Array, Float

from cerberus_jax.products import product

EMBEDDING_ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}
MASK_ACTIVATIONS = {"softmax": lambda x: jax.nn.softmax(x, axis=-2), "sigmoid": jax.nn.sigmoid}

# Keeps the gradient of the unit norm finite where an embedding vanishes.
MIN_SQUARE = 1e-16

# Names of the submodules, by the loss that trains them.
HEAD_OF_LOSS = {
    "deep_clustering": "embedding_head",
    "mask_inference": "mask_head",
    "transcription": "transcription_head",
}


def linear(
    params, features: Float[Array, "*a h"], *, precision: str = "float32"
) -> Float[Array, "*a k m"]:
    """features @ kernel + bias, for a kernel of shape [h k m]."""
    kernel, bias = params["kernel"], params["bias"]
    flat = product(
        features.reshape(-1, features.shape[-1]), kernel.reshape(kernel.shape[0], -1), precision
    )
    return flat.reshape(*features.shape[:-1], *kernel.shape[1:]) + bias


def unit_vectors(raw: Float[Array, "*a d f"], *, activation: str) -> Float[Array, "*a d f"]:
    """The embedding layer's output, activated and brought to unit length along d."""
    raw = EMBEDDING_ACTIVATIONS[activation](raw)
    squares = jnp.sum(raw * raw, axis=-2, keepdims=True)
    return raw * jax.lax.rsqrt(squares + MIN_SQUARE)


def embed(
    params, features: Float[Array, "*a h"], *, activation: str, precision: str = "float32"
) -> Float[Array, "*a d f"]:
    """Embeddings of unit length along d."""
    return unit_vectors(linear(params, features, precision=precision), activation=activation)


def masks(
    params, features: Float[Array, "*a h"], *, activation: str, precision: str = "float32"
) -> Float[Array, "*a s f"]:
    """One mask per instrument; softmax masks sum to one over s."""
    return MASK_ACTIVATIONS[activation](linear(params, features, precision=precision))


class Head(nn.Module):
    """Parameters of one linear layer to `shape` outputs; a call returns them as a dictionary."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self, num_features: int) -> dict:
        init = initializers.variance_scaling(1.0, "fan_avg", "normal", out_axis=(-2, -1), in_axis=0)
        kernel = self.param("kernel", init, (num_features, *self.shape))
        return {"kernel": kernel, "bias": self.param("bias", initializers.zeros, self.shape)}
