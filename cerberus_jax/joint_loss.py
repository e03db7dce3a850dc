"""The training path through the heads: outputs, losses and gradients together, by microbatches.

Deep clustering needs only small sums over an excerpt, so the gradient of an excerpt is known as
soon as the excerpt has been looked at. The forward pass therefore takes it there and then, and no
array of embeddings outlives its microbatch: memory does not grow with the batch. The linear layers
of the heads are transposed by hand, so that their kernels are brought into the type of the products
once and not for every microbatch.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.heads import HEADS, PAPER_HEADS, Head
from cerberus_jax.heads.base import strided
from cerberus_jax.microbatches import cut, over_microbatches
from cerberus_jax.per_device import REPLICATED, per_device, sharded
from cerberus_jax.products import in_memory, product, transposed_product
from cerberus_jax.shapes import check_rank
from cerberus_jax.trunks.base import FEATURES

DEFAULT_HEADS: dict[str, Head] = {name: HEADS[name]() for name in PAPER_HEADS}


@dataclass(frozen=True)
class _Settings:
    heads: tuple[tuple[str, Head], ...]
    microbatch_size: int
    precision: str
    mesh: Mesh | None
    zero_weights: bool


def head_losses(
    features: Float[Array, "b t h"] | dict[str, Array],
    head_params: dict,
    targets: dict[str, Array],
    loss_weights: dict[str, Array],
    *,
    microbatch_size: int,
    heads: Mapping[str, Head] | None = None,
    precision: str = "float32",
    mesh: Mesh | None = None,
    first_frame: Array | int = 0,
    zero_weights: bool = False,
) -> tuple[Float[Array, " b"], dict[str, Float[Array, " b"]]]:
    """Weighted sum of the losses of the heads in `head_params`, per example.

    Args:
        features: the trunk's, by name; an array stands for {'features': array}.
        head_params: parameters of the heads that exist, by submodule name.
        targets: from `targets.make_targets`.
        loss_weights: one weight per loss, as arrays; a zero weight leaves its loss out.
        microbatch_size: examples looked at together, of the batch of one device; where it does not
            divide that, the last are fewer.
        heads: by the names of their losses; None for the three of the paper.
        precision: of the products of linear heads.
        mesh: devices over which the examples are sharded, None for one device.
        first_frame: which frame a strided loss begins with (taken modulo the number of frames).
        zero_weights: some weights may be zero, as where several weightings train together: nothing
            of such a loss then reaches the gradient, not even where it is not finite.

    Raises:
        ValueError: if an array has another shape, or a head has no weight.

    Returns:
        total, and the unweighted loss of every head for the log (no gradient flows through it).
    """
    features = features if isinstance(features, dict) else {FEATURES: features}
    check_rank("head_losses: features", features[FEATURES], ("b", "t", "h"))
    batch = features[FEATURES].shape[0]
    for name, array in targets.items():
        if array.shape[:1] != (batch,):
            raise ValueError(
                f"head_losses: targets[{name!r}] of {batch} examples expected, as the features are "
                f"of so many, got the shape {list(array.shape)}"
            )
    if microbatch_size < 1:
        raise ValueError(f"microbatch_size: at least 1 expected, got {microbatch_size}")
    heads = DEFAULT_HEADS if heads is None else heads
    heads = {name: head for name, head in heads.items() if head.submodule in head_params}
    if missing := [name for name in heads if name not in loss_weights]:
        raise ValueError(
            f"head_losses: loss_weights has none for {', '.join(missing)}, got those of "
            f"{', '.join(loss_weights) or 'nothing'}"
        )
    weights = {name: loss_weights[name] for name in heads}
    settings = _Settings(tuple(heads.items()), microbatch_size, precision, mesh, zero_weights)
    total, losses = _head_losses(settings, features, head_params, weights, targets, first_frame)
    return total, jax.tree.map(lax.stop_gradient, losses)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _head_losses(settings, features, head_params, weights, targets, first_frame):
    def body(features, targets, head_params, weights, first_frame, _):
        forwards = _forwards(settings, head_params)

        def microbatch(_, start, size):
            excerpts, excerpt_targets = cut((features, targets), start, size)
            losses = {}
            for name, head in settings.heads:
                raw = forwards[name].apply(_read(head, excerpts, first_frame))
                losses[name] = head.loss(raw, excerpt_targets, first_frame)
            return None, (_weighted(losses, weights), losses)

        return over_microbatches(
            microbatch, None, batch=len(features[FEATURES]), size=settings.microbatch_size
        )

    args = (features, targets, head_params, weights, first_frame, _ones(features))
    return _on_devices(settings, body)(*args)[1]


def _forward(settings, features, head_params, weights, targets, first_frame):
    args = (features, targets, head_params, weights, first_frame)
    grads, (total, losses, feature_grads) = _with_gradients(settings)(*args, _ones(features))
    return (total, losses), (args, losses, feature_grads, grads)


def _backward(settings, residuals, cotangents):
    """Scales the gradients of the plain sum over examples by the cotangent, which training makes
    equal for all of them; cotangents that differ take a second pass that weighs each example."""
    args, losses, feature_grads, grads = residuals
    cotangent = cotangents[0]

    def equal(_):
        return jax.tree.map(lambda g: g * cotangent[0], grads)

    def different(example_weights):
        return _with_gradients(settings)(*args, example_weights)[0]

    is_same = jnp.all(cotangent == cotangent[0])
    head_grads = lax.cond(is_same, equal, different, cotangent)
    weights = args[3]
    weight_grads = {
        name: jnp.where(weights[name] > 0, (losses[name] * cotangent).sum(), 0) for name in losses
    }
    feature_grads = jax.tree.map(
        lambda g: g * cotangent.reshape(-1, *[1] * (g.ndim - 1)), feature_grads
    )
    return feature_grads, head_grads, weight_grads, None, None


_head_losses.defvjp(_forward, _backward)


def _with_gradients(settings):
    """A function of a batch and of one weight per example that gives
    (summed head gradients, (totals, losses, feature gradients))."""

    def body(features, targets, head_params, weights, first_frame, example_weights):
        forwards = _forwards(settings, head_params)

        def microbatch(grads, start, size):
            excerpts, excerpt_targets, excerpt_weights = cut(
                (features, targets, example_weights), start, size
            )

            def weighted_sum(raw):
                losses = {
                    name: head.loss(raw[name], excerpt_targets, first_frame)
                    for name, head in settings.heads
                }
                total = _weighted(losses, weights)
                return (total * excerpt_weights).sum(), (total, losses)

            reading, raw, vjps = {}, {}, {}
            for name, head in settings.heads:
                frames, reading[name] = jax.vjp(
                    lambda f, head=head: _read(head, f, first_frame), excerpts
                )
                raw[name], vjps[name] = forwards[name].vjp(frames)
            raw_grads, sums = jax.grad(weighted_sum, has_aux=True)(raw)
            feature_grads = jax.tree.map(jnp.zeros_like, excerpts)
            for name, head in settings.heads:
                head_grad, frame_grads = vjps[name](raw_grads[name])
                if settings.zero_weights:  # at the end: zero times infinity would not be zero
                    head_grad, frame_grads = jax.tree.map(
                        lambda g, weight=weights[name]: jnp.where(weight > 0, g, 0),
                        (head_grad, frame_grads),
                    )
                grads[head.submodule] = jax.tree.map(jnp.add, grads[head.submodule], head_grad)
                (read_grads,) = reading[name](frame_grads)
                feature_grads = jax.tree.map(jnp.add, feature_grads, read_grads)
            return grads, (*sums, feature_grads)

        zeros = jax.tree.map(jnp.zeros_like, head_params)
        grads, per_excerpt = over_microbatches(
            microbatch, zeros, batch=len(features[FEATURES]), size=settings.microbatch_size
        )
        if settings.mesh is not None:
            grads = lax.psum(grads, "data")
        return grads, per_excerpt

    return _on_devices(settings, body)


def _on_devices(settings, body):
    examples = sharded()
    specs = (examples, examples, REPLICATED, REPLICATED, REPLICATED, examples)
    return per_device(body, settings.mesh, specs, (REPLICATED, examples))


def _ones(features):
    return jnp.ones(features[FEATURES].shape[0], features[FEATURES].dtype)


def _read(head, features, first_frame):
    """The features that a head reads, at the frames its loss looks at."""
    return {name: strided(features[name], head.stride, first_frame, 1) for name in head.reads}


def _weighted(losses, weights):
    """Their sum; a zero weight selects, so that nothing at all of its loss is left."""
    return sum(jnp.where(weights[name] > 0, weights[name] * losses[name], 0) for name in losses)


class _HeadForward(NamedTuple):
    """A head's function of the features it reads.

    apply(features) -> raw output;
    vjp(features) -> raw output, function of its gradient that gives those of the parameters and of
    the features.
    """

    apply: Callable[[dict], Array]
    vjp: Callable[[dict], tuple[Array, Callable[[Array], tuple[dict, dict]]]]


def _forwards(settings, head_params) -> dict[str, _HeadForward]:
    return {
        name: _linear_forward(head_params[head.submodule], settings.precision)
        if head.is_linear
        else _module_forward(head, head_params[head.submodule])
        for name, head in settings.heads
    }


def _module_forward(head: Head, params: dict) -> _HeadForward:
    return _HeadForward(
        functools.partial(head.raw, params), lambda features: jax.vjp(head.raw, params, features)
    )


def _linear_forward(params: dict, precision: str) -> _HeadForward:
    """Kernels are rounded here, once before the microbatches.

    A copy of the kernel is transposed for the backward product in bfloat16. In float32 there is
    none: the product is as fast with the kernel as it lies, and the copy would be as large as the
    microbatch's embeddings.
    """
    kernel, bias = params["kernel"].reshape(params["kernel"].shape[0], -1), params["bias"]
    transposed = None
    if precision == "bfloat16":
        kernel = in_memory(kernel.astype(jnp.bfloat16))
        transposed = in_memory(kernel.T)

    def apply(features: dict[str, Any]) -> Array:
        """[c t h] -> [c t k m]."""
        flat = product(_rows(features[FEATURES]), kernel, precision)
        return flat.reshape(*features[FEATURES].shape[:-1], *bias.shape) + bias

    def vjp(features):
        def gradients(raw_grad):
            rows = raw_grad.reshape(-1, bias.size)
            kernel_grad = transposed_product(_rows(features[FEATURES]), rows, precision)
            param_grads = {
                "kernel": kernel_grad.reshape(-1, *bias.shape),
                "bias": rows.sum(0).reshape(bias.shape),
            }
            right = kernel.T if transposed is None else transposed
            feature_grad = product(rows, right, precision)
            return param_grads, {FEATURES: feature_grad.reshape(features[FEATURES].shape)}

        return apply(features), gradients

    return _HeadForward(apply, vjp)


def _rows(array):
    return array.reshape(-1, array.shape[-1])
