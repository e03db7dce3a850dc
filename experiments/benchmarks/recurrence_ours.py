"""JAX sides of the recurrence benchmark: this project's layers by path, and what else JAX has.

'linen' is flax's own Bidirectional(RNN(OptimizedLSTMCell)), differentiated by JAX; 'cudnn' is
jax.experimental.rnn, which needs a GPU even to be traced. Neither is a path of this project.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cerberus_jax.trunk import Trunk
from experiments.benchmarks.ours import insist_on_path
from experiments.benchmarks.workload import SEED, Workload

MODES, KINDS = ("forward", "gradient"), ("trunk", "linen", "cudnn")


def make(work: Workload, mode: str, *, kind: str, **settings):
    """A function of nothing that runs the layers once on random inputs of `work.num_bins`.

    Args:
        work: sizes.
        mode: 'forward', without what a backward pass would need, or 'gradient', both passes, to the
            gradients of all weights.
        kind: 'trunk' (settings: precision, recurrence), 'linen' or 'cudnn'.

    Raises:
        ValueError: if mode or kind is unknown.
    """
    if mode not in MODES or kind not in KINDS:
        raise ValueError(
            f"mode and kind: one of {', '.join(MODES)} and one of {', '.join(KINDS)}, "
            f"got {mode!r} and {kind!r}"
        )
    shape = (work.batch_size, work.num_frames, work.num_bins)
    inputs = jax.random.normal(jax.random.key(SEED), shape)
    params, apply = layers(kind, work, inputs, **settings)
    shape = (*shape[:2], 2 * work.hidden)
    cotangent = jax.random.normal(jax.random.key(SEED + 1), shape)

    @jax.jit
    def gradient(params, inputs, cotangent):
        outputs, transpose = jax.vjp(lambda params: apply(params, inputs), params)
        return outputs[0, 0, 0], transpose(cotangent)

    @jax.jit
    def forward(params, inputs):
        outputs = apply(params, inputs)
        return outputs[0, 0, 0], outputs

    if mode == "gradient":
        return lambda: gradient(params, inputs, cotangent)[0]
    return lambda: forward(params, inputs)[0]


def layers(kind: str, work: Workload, inputs: Float[Array, "b t f"], **settings):
    """Weights, and a function of weights and inputs that gives hidden states [b t k]."""
    return {"trunk": _trunk, "linen": _linen, "cudnn": _cudnn}[kind](work, inputs, **settings)


def _trunk(work, inputs, *, recurrence="auto", precision="float32"):
    sizes = {"batch": work.batch_size, "hidden": work.hidden, "precision": precision}
    insist_on_path(recurrence, **sizes)
    settings = {"recurrence": recurrence, "precision": precision}
    trunk = Trunk(work.layers, work.hidden, **settings)
    params = jax.jit(trunk.init, static_argnames="train")(jax.random.key(0), inputs, train=False)
    return params, lambda params, inputs: trunk.apply(params, inputs, train=False)


class _Linen(nn.Module):
    layers: int
    hidden: int

    @nn.compact
    def __call__(self, inputs: Float[Array, "b t f"]) -> Float[Array, "b t k"]:
        for _ in range(self.layers):
            directions = [nn.RNN(nn.OptimizedLSTMCell(self.hidden)) for _ in range(2)]
            inputs = nn.Bidirectional(*directions)(inputs)
        return inputs


def _linen(work, inputs):
    module = _Linen(work.layers, work.hidden)
    return jax.jit(module.init)(jax.random.key(0), inputs), module.apply


def _cudnn(work, inputs):
    from jax.experimental import rnn  # experimental: the other sides must not depend on it

    sizes = (work.num_bins, work.hidden, work.layers)
    weights = rnn.init_lstm_weight(jax.random.key(0), *sizes, bidirectional=True)
    state = jnp.zeros((2 * work.layers, work.batch_size, work.hidden))
    lengths = jnp.full((work.batch_size,), work.num_frames, jnp.int32)

    def apply(weights, inputs):
        return rnn.lstm(
            inputs, state, state, weights, lengths, *sizes, dropout=0.0, bidirectional=True
        )[0]

    return weights, apply
