"""The persistent recurrence: its kernels in interpret mode against the scan, and lowered for CUDA.

Interpret mode stops at a race, at a barrier nobody waited for and at memory never written, so every
run there looks for those too. Only the last test runs the kernels themselves, on a Hopper GPU.
"""

import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.lstm import persistent, scan
from cerberus_jax.lstm import persistent_plan as plan

T, H = 4, 70
"""More than one block of hidden units, the second one not full."""

HOPPER = SimpleNamespace(platform="gpu", compute_capability="9.0", device_kind="NVIDIA H100")
AMPERE = SimpleNamespace(platform="gpu", compute_capability="8.0", device_kind="NVIDIA A100")
CPU = SimpleNamespace(platform="cpu", device_kind="cpu")
REAL_SIZE = {"hidden": 300, "batch": 64, "precision": "bfloat16"}
TESTED = {"device": HOPPER, "jax_version": persistent.TESTED_JAX[-1]}

needs_tested_jax = pytest.mark.skipif(
    jax.__version__ not in persistent.TESTED_JAX,
    reason=f"the kernels are tested with JAX {', '.join(persistent.TESTED_JAX)} only",
)


def _arrays(batch, hidden=H, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (2, T, batch, 4 * hidden), (2, hidden, 4 * hidden), (2, T, batch, hidden)
    inputs, kernel, cotangent = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in shapes)
    return inputs, kernel / hidden**0.5, cotangent


def _scan(inputs, kernel, precision):
    """Hidden states, cells and gates of the portable path, directions stacked."""
    settings = {"precision": precision, "batched": False, "with_residuals": True}
    hidden, residuals = scan.forward(tuple(inputs), kernel, **settings)
    return [jnp.stack(pair) for pair in (hidden, *zip(*residuals, strict=True))]


def _scan_vjp(inputs, kernel, cotangent):
    """Gradients of the gate inputs by automatic differentiation of the scan."""

    def hidden(inputs):
        settings = {"precision": "float32", "batched": False, "with_residuals": False}
        return jnp.stack(scan.forward(tuple(inputs), kernel, **settings)[0])

    return jax.vjp(hidden, inputs)[1](cotangent)[0]


def _persistent(inputs, kernel, cotangent, precision):
    """The same four by the kernels, in the usual order."""
    batch, hidden = cotangent.shape[2:]
    settings = {"precision": precision, "interpret": True}
    states, cells, gates = persistent.forward(inputs, kernel, **settings)
    grads = persistent.vjp(kernel, cells, gates, cotangent, **settings)
    cells = persistent.ungrouped(cells[:, :, :, None], batch, hidden)
    return states, cells, persistent.ungrouped(gates, batch, hidden), grads


@needs_tested_jax
@pytest.mark.parametrize("batch", [3, 9])
def test_kernels_equal_the_scan_and_its_gradient(batch):
    inputs, kernel, cotangent = _arrays(batch)
    *found, grads = _persistent(inputs, kernel, cotangent, "float32")
    for ours, expected in zip(found, _scan(inputs, kernel, "float32"), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    expected = _scan_vjp(inputs, kernel, cotangent)
    np.testing.assert_allclose(grads, expected, atol=2e-6)


@needs_tested_jax
def test_bfloat16_kernels_stay_within_its_rounding():
    inputs, kernel, cotangent = _arrays(batch=3)
    states, cells, gates, grads = _persistent(inputs, kernel, cotangent, "bfloat16")
    expected_states, *expected = _scan(inputs, kernel, "bfloat16")
    np.testing.assert_allclose(states, expected_states, rtol=2**-8, atol=1e-5)
    for ours, theirs in zip((cells, gates), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    residuals = tuple(scan.Residuals(*pair) for pair in zip(*expected, strict=True))
    # A scan compiled for a CPU would leave the gradients of the gates unrounded.
    expected_grads = scan._vjp(
        kernel, residuals, tuple(cotangent), precision="bfloat16", batched=False
    )
    np.testing.assert_allclose(grads, jnp.stack(expected_grads), atol=1e-4)


@needs_tested_jax
def test_inference_gives_the_same_hidden_states():
    inputs, kernel, _ = _arrays(batch=2)
    settings = {"precision": "bfloat16", "interpret": True}
    alone = persistent.forward_hidden(inputs, kernel, **settings)
    np.testing.assert_array_equal(alone, persistent.forward(inputs, kernel, **settings)[0])


@needs_tested_jax
@pytest.mark.parametrize("mapped", [(0, None), (0, 0)], ids=["inputs", "inputs and weights"])
def test_vmap(mapped):
    pairs = [_arrays(batch=2, seed=seed)[:2] for seed in range(2)]
    inputs = jnp.stack([pair[0] for pair in pairs])
    kernels = jnp.stack([pair[1] for pair in pairs]) if mapped[1] == 0 else pairs[0][1]

    def states(inputs, kernel):
        return persistent.forward_hidden(inputs, kernel, precision="float32", interpret=True)

    found = jax.vmap(states, mapped)(inputs, kernels)
    for k in range(2):
        kernel = kernels[k] if mapped[1] == 0 else kernels
        np.testing.assert_allclose(found[k], _scan(inputs[k], kernel, "float32")[0], atol=1e-6)


@needs_tested_jax
@pytest.mark.parametrize("batch", [8, 64, 256])
def test_kernels_lower_for_cuda_at_full_size(batch, monkeypatch):
    monkeypatch.setattr(persistent, "supported", lambda **_: None)

    def step(inputs, kernel, cotangent):
        states, cells, gates = persistent.forward(inputs, kernel, precision="bfloat16")
        return states, persistent.vjp(kernel, cells, gates, cotangent, precision="bfloat16")

    steps, hidden = 313, 300
    shapes = (2, steps, batch, 4 * hidden), (2, hidden, 4 * hidden), (2, steps, batch, hidden)
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    lowered = jax.jit(step).trace(*arguments).lower(lowering_platforms=("cuda",))
    assert lowered.as_text().count("@mosaic_gpu") == 2
    assert lowered.out_info[1].shape == shapes[0]


@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_nothing_to_compute_is_an_error(shape):
    inputs, kernel = jnp.zeros((2, *shape, 4 * H)), jnp.zeros((2, H, 4 * H))
    with pytest.raises(ValueError, match="gate_inputs: at least one step of one example"):
        persistent.forward(inputs, kernel, precision="bfloat16")


def test_a_hopper_with_a_tested_jax_is_supported():
    assert persistent.supported(**REAL_SIZE, **TESTED) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"jax_version": "0.10.2"}, r"tested with JAX 0\.12\.0\.1 only, this is 0\.10\.2"),
        ({"device": CPU}, r"needs an NVIDIA Hopper GPU .* found cpu"),
        ({"device": AMPERE}, r"found NVIDIA A100 \(compute capability 8\.0\)"),
        ({"precision": "float32"}, "bfloat16 only on a GPU, precision is float32"),
        ({"hidden": 600}, "hidden size 600 needs a cluster of 10 blocks, Hopper has 8"),
        (
            {"hidden": 400},
            r"hidden size 400 needs 24\d{4} bytes of shared memory per block, Hopper has 232448",
        ),
    ],
)
def test_what_is_not_supported_has_a_reason(changed, reason):
    found = persistent.supported(**{**REAL_SIZE, **TESTED, **changed})
    assert found is not None
    assert re.search(reason, found), found


def test_a_call_that_cannot_run_says_why():
    inputs, kernel, _ = _arrays(batch=1)
    with pytest.raises(
        ValueError, match=r"recurrence: 'experimental_persistent' (needs|was tested)"
    ):
        persistent.forward(inputs, kernel, precision="bfloat16")


@pytest.mark.parametrize(
    ("batch", "rows"), [(1, 8), (64, 8), (80, 8), (81, 16), (256, 32), (4096, 32)]
)
def test_examples_of_a_group(batch, rows):
    assert plan.rows_per_group(batch) == rows


def test_shared_memory_adds_up():
    weights, gradients, parts = 256 * 320 * 2, 32 * 256 * 2, 320 * 32 * 4
    assert plan.shared_memory_bytes(300, 32, 2) == weights + gradients + parts + 2048


def test_every_batch_of_the_published_network_fits():
    assert all(plan.size_reason(300, batch, 2) is None for batch in range(1, 600))


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [5, 64, 200])
def test_on_a_gpu_the_published_size_agrees_with_float32_on_the_cpu(batch):
    if reason := persistent.supported(**REAL_SIZE):
        pytest.skip(f"the kernel {reason}")
    steps, hidden = 313, 300
    keys = jax.random.split(jax.random.key(batch), 3)
    inputs = jax.random.normal(keys[0], (2, steps, batch, 4 * hidden))
    kernel = jax.random.normal(keys[1], (2, hidden, 4 * hidden)) / hidden**0.5
    cotangent = jax.random.normal(keys[2], (2, steps, batch, hidden))
    states, cells, gates = persistent.forward(inputs, kernel, precision="bfloat16")
    grads = persistent.vjp(kernel, cells, gates, cotangent, precision="bfloat16")
    with jax.default_device(jax.devices("cpu")[0]):
        inputs, kernel, cotangent = jax.device_get((inputs, kernel, cotangent))
        inputs, kernel, cotangent = map(jnp.asarray, (inputs, kernel, cotangent))
        expected = _scan(inputs, kernel, "float32")[0], _scan_vjp(inputs, kernel, cotangent)
    for ours, theirs in zip((states, grads), expected, strict=True):
        error = np.linalg.norm(np.asarray(ours) - theirs) / np.linalg.norm(theirs)
        assert error < 5e-3
