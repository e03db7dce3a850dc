"""The training path through the heads: outputs, losses and gradients together, some clips a turn.

Deep clustering needs only small sums over a clip, so the gradient of a clip is known as soon as the
clip has been looked at. The forward pass therefore takes it there and then, and no array of
embeddings outlives its turn: memory does not grow with the batch. The linear layers of the heads
are transposed by hand, so that their kernels are brought into the type of the products once and
not every turn.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cerberus_jax.clip_losses import HeadOptions, clip_losses, strided
from cerberus_jax.heads import HEAD_OF_LOSS
from cerberus_jax.per_device import REPLICATED, per_device, sharded
from cerberus_jax.products import product, transposed_product
from cerberus_jax.targets import Targets

# Frames a CPU works on at once in the heads: enough to fill its cores, few enough for its caches.
CPU_FRAMES_PER_MICROBATCH = 400
# Clips elsewhere: enough that a turn fills the chip.
MICROBATCH_SIZE = 16

DEFAULT_OPTIONS = HeadOptions()


def choose_microbatch_size(batch: int, num_frames: int, *, most: int = 0) -> int:
    """How many of a device's clips to look at together: the largest divisor of its batch that is
    at most `most`, or for 0 what suits the backend."""
    if not most:
        on_cpu = jax.default_backend() == "cpu"
        most = max(CPU_FRAMES_PER_MICROBATCH // num_frames, 1) if on_cpu else MICROBATCH_SIZE
    return max(k for k in range(1, min(batch, most) + 1) if batch % k == 0)


def head_losses(
    features: Float[Array, "b t h"],
    head_params: dict,
    targets: Targets,
    loss_weights: dict[str, Array],
    *,
    microbatch_size: int,
    options: HeadOptions = DEFAULT_OPTIONS,
    phase: Array | int = 0,
) -> tuple[Float[Array, " b"], dict[str, Float[Array, " b"]]]:
    """Weighted sum of the losses of the heads in `head_params`, per example.

    Args:
        features: the trunk's output.
        head_params: parameters of the heads that exist, by submodule name.
        targets: see targets.py.
        loss_weights: one weight per loss, as arrays; a zero weight leaves its loss out.
        microbatch_size: examples looked at together; it must divide the batch of one device.
        options: activations, kinds and strides.
        phase: which frame a strided loss begins with (taken modulo the number of frames).

    Returns:
        total, and the unweighted loss of every head for the log (no gradient flows through it).
    """
    if features.shape[0] % microbatch_size:
        raise ValueError(
            f"microbatch_size: must divide the batch of {features.shape[0]}, got {microbatch_size}"
        )
    weights = {
        name: loss_weights[name] for name, head in HEAD_OF_LOSS.items() if head in head_params
    }
    settings = (options, microbatch_size)
    total, parts = _head_losses(settings, features, head_params, weights, targets, phase)
    return total, jax.tree.map(lax.stop_gradient, parts)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _head_losses(settings, features, head_params, weights, targets, phase):
    options = settings[0]

    def body(features, targets, head_params, weights, phase, _):
        linears = _linears(head_params, options)

        def turn(_, first):
            clip_features, clip_targets = _clips(settings, (features, targets), first)
            outputs = {
                name: _apply(linear, strided(clip_features, options.stride(name), phase, 1))
                for name, linear in linears.items()
            }
            parts = clip_losses(outputs, clip_targets, options, phase)
            return None, (_weighted(parts, weights), parts)

        return None, _joined(lax.scan(turn, None, _turns(settings, features))[1])

    ones = jnp.ones(features.shape[0], features.dtype)
    return _on_devices(settings, body)(features, targets, head_params, weights, phase, ones)[1]


def _forward(settings, features, head_params, weights, targets, phase):
    args = (features, targets, head_params, weights, phase)
    ones = jnp.ones(features.shape[0], features.dtype)
    grads, (total, parts, feature_grad) = _with_gradients(settings)(*args, ones)
    return (total, parts), (args, parts, feature_grad, grads)


def _backward(settings, kept, cotangents):
    """Scales the gradients of the plain sum over examples by the cotangent, which training makes
    equal for all of them; cotangents that differ take a second pass that weighs each example."""
    args, parts, feature_grad, grads = kept
    cotangent = cotangents[0]

    def equal(_):
        return jax.tree.map(lambda g: g * cotangent[0], grads)

    def different(example_weights):
        return _with_gradients(settings)(*args, example_weights)[0]

    same = jnp.all(cotangent == cotangent[0])
    head_grads = lax.cond(same, equal, different, cotangent)
    weight_grads = {
        name: jnp.where(args[3][name] > 0, (parts[name] * cotangent).sum(), 0) for name in parts
    }
    return feature_grad * cotangent[:, None, None], head_grads, weight_grads, None, None


_head_losses.defvjp(_forward, _backward)


def _with_gradients(settings):
    """A function of a batch and of one weight per example that gives
    (summed head gradients, (totals, parts, feature gradients))."""
    options = settings[0]

    def body(features, targets, head_params, weights, phase, example_weights):
        linears = _linears(head_params, options)

        def turn(grads, first):
            clip_features, clip_targets, clip_weights = _clips(
                settings, (features, targets, example_weights), first
            )

            def loss(outputs):
                parts = clip_losses(outputs, clip_targets, options, phase)
                total = _weighted(parts, weights)
                return (total * clip_weights).sum(), (total, parts)

            seen = {
                name: jax.vjp(
                    lambda a, n=name: strided(a, options.stride(n), phase, 1), clip_features
                )
                for name in linears
            }
            outputs = {name: _apply(linears[name], frames) for name, (frames, _) in seen.items()}
            output_grads, found = jax.grad(loss, has_aux=True)(outputs)
            feature_grad = jnp.zeros_like(clip_features)
            for name, grad in output_grads.items():
                frames, put_back = seen[name]
                head_grad, frames_grad = _transpose(linears[name], frames, grad)
                grads[HEAD_OF_LOSS[name]] = jax.tree.map(
                    jnp.add, grads[HEAD_OF_LOSS[name]], head_grad
                )
                feature_grad += put_back(frames_grad)[0]
            return grads, (*found, feature_grad)

        zeros = jax.tree.map(jnp.zeros_like, head_params)
        grads, found = lax.scan(turn, zeros, _turns(settings, features))
        if options.mesh is not None:
            grads = lax.psum(grads, "data")
        return grads, _joined(found)

    return _on_devices(settings, body)


def _on_devices(settings, body):
    clips = sharded()
    specs = (clips, clips, REPLICATED, REPLICATED, REPLICATED, clips)
    return per_device(body, settings[0].mesh, specs, (REPLICATED, clips))


def _turns(settings, features):
    """The first clip of every turn; on several devices b is the local batch."""
    return jnp.arange(0, features.shape[0], settings[1])


def _clips(settings, tree, first):
    """The clips of a turn, cut out of the batch [b ...] inside the loop: as a sequence that the
    loop runs over, [turns clips ...], the compiler would hold a copy of the batch."""
    return jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, first, settings[1]), tree)


def _joined(tree):
    """[turns clips ...] -> [b ...]."""
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), tree)


def _weighted(parts, weights):
    """Sum of the parts; a zero weight selects, so that nothing at all of its loss is left."""
    return sum(jnp.where(weights[name] > 0, weights[name] * parts[name], 0) for name in parts)


class _Linear(NamedTuple):
    """The linear layer of a head as the turns multiply with it.

    `transposed` is a copy for the backward product. In float32 there is none: the product is as
    fast with the kernel as it lies, and the copy would be as large as the turn's embeddings.
    """

    kernel: Float[Array, "h n"]
    transposed: Float[Array, "n h"] | None
    bias: Float[Array, "k m"]
    precision: str


def _linears(head_params, options):
    """By the name of the loss; kernels are rounded here, once before the turns."""

    def prepare(params):
        kernel = params["kernel"].reshape(params["kernel"].shape[0], -1)
        if options.precision == "bfloat16":
            kernel = lax.optimization_barrier(kernel.astype(jnp.bfloat16))
            return _Linear(kernel, lax.optimization_barrier(kernel.T), params["bias"], "bfloat16")
        return _Linear(kernel, None, params["bias"], options.precision)

    return {
        loss: prepare(head_params[head])
        for loss, head in HEAD_OF_LOSS.items()
        if head in head_params
    }


def _apply(linear, features):
    """[c t h] -> [c t k m]."""
    flat = product(_rows(features), linear.kernel, linear.precision)
    return flat.reshape(*features.shape[:-1], *linear.bias.shape) + linear.bias


def _transpose(linear, features, output_grad):
    """Gradients of the layer's parameters and of its features."""
    rows = output_grad.reshape(-1, linear.bias.size)
    kernel = transposed_product(_rows(features), rows, linear.precision)
    grads = {
        "kernel": kernel.reshape(-1, *linear.bias.shape),
        "bias": rows.sum(0).reshape(linear.bias.shape),
    }
    transposed = linear.kernel.T if linear.transposed is None else linear.transposed
    features_grad = product(rows, transposed, linear.precision)
    return grads, features_grad.reshape(features.shape)


def _rows(array):
    return array.reshape(-1, array.shape[-1])
