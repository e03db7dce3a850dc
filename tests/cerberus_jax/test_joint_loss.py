"""The training path against the composition of heads and readable losses, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax import losses
from cerberus_jax.heads import HEADS
from cerberus_jax.heads.base import linear, strided
from cerberus_jax.joint_loss import DEFAULT_HEADS, head_losses
from cerberus_jax.targets import bin_weights, make_targets
from tests.tiny_network import GRID, INSTRUMENTS

B, N, H, D = 6, 640, 12, 5
WEIGHTS = {"deep_clustering": 0.3, "mask_inference": 0.2, "transcription": 0.5}


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@functools.cache
def _inputs(seed=0):
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((B, len(INSTRUMENTS), N))
    sources[1] = 0  # one silent example
    notes = np.zeros((B, len(INSTRUMENTS), 4, 3), np.int16)
    notes[:, :, 0], notes[:, :, 1] = (3, 9, 60), (9, 12, 60)
    targets = make_targets(
        jnp.asarray(sources),
        jnp.asarray(notes),
        grid=GRID,
        heads=DEFAULT_HEADS.values(),
    )
    shapes = {"embedding_head": (D, 65), "mask_head": (2, 65), "transcription_head": (2, 88)}
    params = {
        name: {
            "kernel": jnp.asarray(rng.standard_normal((H, *shape))) / H,
            "bias": jnp.asarray(rng.standard_normal(shape)),
        }
        for name, shape in shapes.items()
    }
    features = jnp.asarray(rng.standard_normal((B, GRID.num_frames(N), H)))
    return features, params, targets


def _truth(features, params, weights, targets):
    vectors, mask, logits = (
        head.activate(linear(params[head.submodule], features)) for head in DEFAULT_HEADS.values()
    )
    one_hot = jax.nn.one_hot(targets["assignment"], 2, dtype=features.dtype)
    parts = {
        "deep_clustering": losses.deep_clustering_loss(
            vectors, one_hot, bin_weights(targets["mixture_magnitude"])
        ),
        "mask_inference": losses.mask_inference_loss(
            mask, targets["mixture_magnitude"], targets["mask_target"]
        ),
        "transcription": losses.transcription_loss(logits, targets["roll"]),
    }
    return sum(weights[name] * parts[name] for name in parts), parts


def _arrays(weights):
    return {name: jnp.float64(value) for name, value in weights.items()}


def _close(found, expected, tolerance=1e-9):
    """Every array differs by so little, relative to its norm."""

    def check(found, expected):
        difference = np.linalg.norm(np.asarray(found, np.float64) - np.asarray(expected))
        assert difference <= tolerance * np.linalg.norm(expected)

    jax.tree.map(check, found, expected)


@pytest.mark.parametrize("microbatch_size", [1, 2, 4, 6])
@pytest.mark.parametrize("example_weights", [np.full(B, 1 / B), np.arange(B) / B])
def test_value_and_gradient_equal_the_composition(microbatch_size, example_weights):
    features, params, targets = _inputs()

    def joint(features, params, weights):
        found = head_losses(features, params, targets, weights, microbatch_size=microbatch_size)
        return (found[0] * example_weights).sum(), found[1]

    def truth(features, params, weights):
        total, parts = _truth(features, params, weights, targets)
        return (total * example_weights).sum(), parts

    args = (features, params, _arrays(WEIGHTS))
    gradients = functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
    _close(jax.jit(gradients(joint))(*args), jax.jit(gradients(truth))(*args))
    _close(jax.jit(joint)(*args), jax.jit(truth)(*args))


@pytest.mark.parametrize("microbatch_size", [1, 6])
@pytest.mark.parametrize("only", [None, "embedding_head"])
def test_float32_gradients_are_close_to_those_in_float64(microbatch_size, only):
    features, params, targets = _inputs()
    params = {name: params[name] for name in params if only in (None, name)}

    def gradients(dtype, function):
        features_, params_, targets_ = jax.tree.map(
            lambda a: a.astype(dtype) if a.dtype == np.float64 else a, (features, params, targets)
        )
        weights = {name: jnp.asarray(value, dtype) for name, value in WEIGHTS.items()}
        return jax.jit(jax.grad(function, (0, 1)))(features_, params_, weights, targets_)

    def joint(features, params, weights, targets):
        found = head_losses(features, params, targets, weights, microbatch_size=microbatch_size)
        return found[0].mean()

    def truth(features, params, weights, targets):
        parts = _truth(features, params_of_all | params, weights, targets)[1]
        wanted = [name for name, head in HEADS.items() if head.submodule in params]
        return sum(weights[name] * parts[name] for name in wanted).mean()

    params_of_all = _inputs()[1]
    found = gradients(jnp.float32, joint)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(np.float32)}
    _close(found, gradients(jnp.float64, truth), tolerance=1e-5)


def test_vmap_over_the_weights():
    features, params, targets = _inputs()
    points = {name: jnp.asarray([value, 0.0, 1.0]) for name, value in WEIGHTS.items()}

    def joint(weights, features, params):
        return head_losses(features, params, targets, weights, microbatch_size=2)[0].mean()

    def truth(weights, features, params):
        return _truth(features, params, weights, targets)[0].mean()

    def gradients(function):
        over_points = jax.vmap(jax.value_and_grad(function, (1, 2)), (0, None, None))
        return jax.jit(over_points)(points, features, params)

    _close(gradients(joint), gradients(truth))


def test_a_zero_weight_leaves_its_head_without_gradient():
    features, params, targets = _inputs()
    weights = _arrays(WEIGHTS | {"mask_inference": 0.0})
    grad = jax.grad(
        lambda p: head_losses(features, p, targets, weights, microbatch_size=2)[0].sum()
    )
    assert not any(leaf.any() for leaf in jax.tree.leaves(grad(params)["mask_head"]))


@pytest.mark.parametrize("bad", ["mask_target", "roll"])
def test_a_loss_of_weight_zero_that_is_not_finite_does_not_reach_the_gradient(bad):
    """Where several weightings train together: neither by its own head nor by the trunk."""
    features, params, targets = _inputs()
    name = {"mask_target": "mask_inference", "roll": "transcription"}[bad]
    targets = targets | {bad: jnp.full(targets[bad].shape, jnp.nan)}
    points = {k: jnp.asarray([v, 0.0 if k == name else v]) for k, v in WEIGHTS.items()}

    def joint(weights, features, params):
        return head_losses(
            features, params, targets, weights, microbatch_size=2, zero_weights=True
        )[0].mean()

    over_points = jax.vmap(jax.value_and_grad(joint, (1, 2)), (0, None, None))
    (loss, grads) = jax.jit(over_points)(points, features, params)
    assert np.isnan(loss[0]) and np.isfinite(loss[1])
    assert all(np.isfinite(leaf[1]).all() for leaf in jax.tree.leaves(grads))
    assert not any(leaf[1].any() for leaf in jax.tree.leaves(grads[1][HEADS[name].submodule]))
    without = {k: v for k, v in params.items() if k != HEADS[name].submodule}
    alone = jax.jit(
        jax.grad(
            lambda f: head_losses(f, without, targets, _arrays(WEIGHTS), microbatch_size=2)[
                0
            ].mean()
        )
    )(features)
    np.testing.assert_allclose(grads[0][1], alone, rtol=1e-12, atol=1e-15)


def test_absent_heads_have_no_part():
    features, params, targets = _inputs()
    only = {"mask_head": params["mask_head"]}
    total, parts = head_losses(features, only, targets, _arrays(WEIGHTS), microbatch_size=3)
    assert set(parts) == {"mask_inference"}
    np.testing.assert_allclose(total, 0.2 * parts["mask_inference"])


@pytest.mark.parametrize("first_frame", [0, 1, 6])
def test_strided_losses_look_at_the_frames_they_say(first_frame):
    features, params, targets = _inputs()
    strides = {"deep_clustering": 4, "mask_inference": 2, "transcription": 3}
    heads = {name: HEADS[name](stride=stride) for name, stride in strides.items()}
    joint = functools.partial(head_losses, microbatch_size=2, heads=heads)
    by_head = jax.jit(joint)(features, params, targets, _arrays(WEIGHTS), first_frame=first_frame)[
        1
    ]
    time_axis = {"mixture_magnitude": 1, "mask_target": 2, "assignment": 1, "roll": 2}
    for name, stride in strides.items():
        num_frames = features.shape[1]
        frames = (first_frame + stride * np.arange(num_frames // stride)) % num_frames
        chosen = {key: jnp.take(targets[key], frames, axis) for key, axis in time_axis.items()}
        expected = jax.jit(_truth)(features[:, frames], params, WEIGHTS, chosen)[1][name]
        np.testing.assert_allclose(by_head[name], expected, atol=1e-12)


def test_a_strided_loss_looks_at_every_frame_the_last_ones_too():
    frames = jnp.arange(11)
    seen = np.stack([strided(frames, 4, phase, 0) for phase in range(11)])
    assert seen.shape == (11, 2)
    np.testing.assert_array_equal(np.bincount(seen.ravel()), np.full(11, 2))


def test_no_array_of_all_embeddings_is_held():
    """The compiled gradient's scratch memory is far below one embedding of the batch."""
    features, params, targets = (
        jax.tree.map(lambda a: jnp.repeat(a, 8, axis=0), tree) if k != 1 else tree
        for k, tree in enumerate(_inputs())
    )

    def loss(params, size):
        return head_losses(features, params, targets, _arrays(WEIGHTS), microbatch_size=size)[0]

    def scratch(size):
        grad = jax.grad(lambda p: loss(p, size).sum())
        return jax.jit(grad).lower(params).compile().memory_analysis().temp_size_in_bytes

    batch, num_frames, _ = features.shape
    embedding = np.zeros((batch, num_frames, D, GRID.num_bins))
    assert scratch(1) < embedding.nbytes / 4 < scratch(batch) / 4
