"""What a GPU computes: a training step, every backend of the recurrence, a run that is resumed.

    python -m pytest -m gpu

Each test runs on the CPU too, as part of every run of the tests. The library and pytest are all
that is needed; where JAX_PLATFORMS is set it must name the CPU as well, for the exact results.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from cerberus_jax.architecture import metadata_of
from cerberus_jax.checkpoint import CheckpointWriter, restore_state
from cerberus_jax.lstm import BACKENDS, EXPERIMENTAL, backends, bidirectional_lstm, persistent
from cerberus_jax.parallel import jit_init, make_mesh, make_step, put_batch, replicated
from cerberus_jax.products import PRECISIONS
from cerberus_jax.steps import init_state, train_step
from tests.tiny_network import noise_batch, tiny_model, tiny_task, weights

# The published layer over 5 s on a GPU; a CPU would take long for it.
STEPS_BATCH_HIDDEN = {"cpu": (9, 3, 70), "gpu": (313, 8, 300)}
MAX_ERROR = {"float32": 1e-5, "bfloat16": 1e-2}  # on a CPU 4e-7 and 4e-3


def _on(device, *values):
    return pytest.param(device, *values, marks=[pytest.mark.gpu] if device == "gpu" else [])


@pytest.fixture(params=[_on("cpu"), _on("gpu")])
def device(request):
    """Where the test computes, in float32 without TensorFloat-32."""
    try:
        device = jax.devices(request.param)[0]
    except RuntimeError as error:
        pytest.skip(f"JAX has no {request.param.upper()} here ({error})")
    with jax.default_device(device), jax.default_matmul_precision("float32"):
        yield device


def _in_float64(function, *args):
    """What the function gives for these arguments in float64 on the CPU."""

    def convert(array):
        array = np.asarray(array)
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        return jax.device_get(jax.jit(function)(*jax.tree.map(convert, args)))


def _relative_error(array, exact):
    return np.linalg.norm(np.asarray(array) - exact) / np.linalg.norm(exact)


def test_a_training_step_is_that_of_float64(device):
    """Losses, and gradients by way of Adam's first moments: its steps turn rounding of gradients
    near zero into whole steps."""
    task, batch, mesh = tiny_task(model=tiny_model(hidden=32)), noise_batch(), make_mesh([device])
    state = jax.device_get(jax.jit(lambda: init_state(task, jax.random.key(0), batch))())

    def step(state, batch, loss_weights):
        return train_step(state, batch, jax.random.key(1), loss_weights, task=task)

    exact_state, exact_metrics = _in_float64(step, state, batch, weights())
    args = put_batch(batch, mesh), jax.random.key(1), weights()
    state, metrics = make_step(task, mesh)(jax.device_put(state, replicated(mesh)), *args)
    assert metrics["loss"].devices() == {device}
    for name, value in exact_metrics.items():
        np.testing.assert_allclose(metrics[name], value, rtol=3e-5, err_msg=name)
    moments = (optax.tree.get(either.opt_state, "mu") for either in (state, exact_state))
    errors = jax.tree.map(_relative_error, *moments)
    assert max(jax.tree.leaves(errors)) < 3e-5, errors


def test_a_run_that_is_resumed_is_the_one_that_ran_through(device, tmp_path):
    """Four steps against two, a checkpoint and two, dropout included, bit for bit."""
    task, mesh = tiny_task(model=tiny_model(dropout=0.3)), make_mesh([device])
    step = make_step(task, mesh)

    def fresh():
        return jit_init(task, mesh)(jax.random.key(0), put_batch(noise_batch(), mesh))

    def train(state, first, last):
        for k in range(first, last):
            batch = put_batch(noise_batch(seed=k), mesh)
            state, _ = step(state, batch, jax.random.key(1), weights())
        return state

    through, half = train(fresh(), 0, 4), train(fresh(), 0, 2)
    with CheckpointWriter(tmp_path) as writer:
        writer.save("last", half, metadata_of(task.model, {}))
    resumed = restore_state(tmp_path, jax.eval_shape(fresh), replicated(mesh))
    jax.tree.map(np.testing.assert_array_equal, resumed, half)
    jax.tree.map(np.testing.assert_array_equal, train(resumed, 2, 4), through)


def _textbook_lstm(inputs, input_kernel, recurrent_kernel, bias):
    """The LSTM as books have it, for gradients by automatic differentiation."""

    def direction(inputs, input_kernel, recurrent_kernel, bias):
        def step(states, gates):
            hidden, cell = states
            gates = jnp.split(gates + hidden @ recurrent_kernel, 4, axis=-1)
            in_gate, forget, _, out_gate = map(jax.nn.sigmoid, gates)
            cell = forget * cell + in_gate * jnp.tanh(gates[2])
            hidden = out_gate * jnp.tanh(cell)
            return (hidden, cell), hidden

        zero = jnp.zeros((inputs.shape[1], len(recurrent_kernel)), inputs.dtype)
        return lax.scan(step, (zero, zero), inputs @ input_kernel + bias)[1]

    both = input_kernel, recurrent_kernel, bias
    forward = direction(inputs, *(array[0] for array in both))
    backward = direction(inputs[::-1], *(array[1] for array in both))[::-1]
    return jnp.concatenate([forward, backward], axis=-1)


def _backends_of_devices():
    """All but 'auto', which is one of the others. The kernel has no float32; on a CPU it runs in
    interpret mode only, which has tests of its own. It comes last, for it might hang."""
    for device in STEPS_BATCH_HIDDEN:
        for backend in BACKENDS:
            for precision in PRECISIONS:
                if backend not in ("auto", EXPERIMENTAL):
                    yield device, backend, precision
    yield "gpu", EXPERIMENTAL, "bfloat16"


@pytest.mark.parametrize(
    ("device", "backend", "precision"),
    [_on(*case) for case in _backends_of_devices()],
    indirect=["device"],
)
def test_a_backend_of_the_recurrence_agrees_with_float64(device, backend, precision):
    steps, batch, hidden = STEPS_BATCH_HIDDEN[device.platform]
    sizes = {"batch": batch, "hidden": hidden, "precision": precision}
    if backend == EXPERIMENTAL and (reason := persistent.supported(**sizes, device=device)):
        pytest.skip(f"the kernel {reason}")
    assert backends.choose(backend, **sizes) == backend
    rng = np.random.default_rng(0)
    shapes = (steps, batch, 20), (2, 20, 4 * hidden), (2, hidden, 4 * hidden), (2, 4 * hidden)
    inputs, *kernels, bias = (rng.standard_normal(shape, np.float32) for shape in shapes)
    kernels = [kernel / np.float32(kernel.shape[1] ** 0.5) for kernel in kernels]
    cotangent = rng.standard_normal((steps, batch, 2 * hidden), np.float32)

    def values_and_gradients(lstm):
        def run(cotangent, *arguments):
            values, vjp = jax.vjp(lstm, *arguments)
            return values, *vjp(cotangent)

        return run

    arguments = cotangent, inputs, *kernels, bias
    ours = functools.partial(bidirectional_lstm, recurrence=backend, precision=precision)
    results = jax.jit(values_and_gradients(ours))(*arguments)
    assert results[0].devices() == {device}
    exact = _in_float64(values_and_gradients(_textbook_lstm), *arguments)
    errors = [_relative_error(*pair) for pair in zip(results, exact, strict=True)]
    assert max(errors) < MAX_ERROR[precision], errors
