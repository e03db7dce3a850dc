"""The ways to compute the recurrence: which one runs, and that all agree."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.lstm import BACKENDS, EXPERIMENTAL, backends, bidirectional_lstm, persistent

T, B, D, H = 5, 3, 7, 4
SIZES = {"batch": 8, "hidden": 300, "precision": "bfloat16"}


def _arguments(batch=B, hidden=H):
    rng = np.random.default_rng(0)
    shapes = [(T, batch, D), (2, D, 4 * hidden), (2, hidden, 4 * hidden), (2, 4 * hidden)]
    return tuple(jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes)


def _values_and_gradients(arguments, **settings):
    def total(*args):
        outputs = bidirectional_lstm(*args, **settings)
        return (outputs * jnp.arange(outputs.shape[-1])).sum(), outputs

    (_, outputs), grads = jax.value_and_grad(total, range(4), has_aux=True)(*arguments)
    return outputs, *grads


@pytest.fixture
def hopper(monkeypatch):
    """A machine on which the kernel could run."""
    monkeypatch.setattr(persistent, "supported", lambda **_: None)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_together_equals_apart(precision):
    run = functools.partial(_values_and_gradients, _arguments(), precision=precision)
    for found, expected in zip(run(recurrence="batched_scan"), run(recurrence="scan"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("recurrence", ["scan", "batched_scan"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_scan_works_under_vmap(recurrence, precision):
    settings = {"recurrence": recurrence, "precision": precision}
    stacked = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), _arguments())
    mapped = jax.vmap(lambda *args: _values_and_gradients(args, **settings))(*stacked)
    for k in range(2):
        single = _values_and_gradients(jax.tree.map(lambda a, k=k: a[k], stacked), **settings)
        for found, expected in zip(mapped, single, strict=True):
            np.testing.assert_allclose(found[k], expected, rtol=1e-4, atol=1e-4)


def test_unknown_path():
    with pytest.raises(ValueError, match=r"recurrence: one of auto, scan, .* got 'cudnn'"):
        bidirectional_lstm(*_arguments(), recurrence="cudnn")


def test_every_name_leads_to_a_path():
    for name in BACKENDS:
        assert backends.backend(backends.choose(name, **SIZES))


def test_only_its_name_chooses_the_experimental_kernel(hopper):
    chosen = {name: backends.choose(name, **SIZES) for name in BACKENDS}
    assert [name for name, backend in chosen.items() if backend == EXPERIMENTAL] == [EXPERIMENTAL]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_auto_is_the_plain_scan_on_a_cpu(precision):
    run = functools.partial(_values_and_gradients, _arguments(), precision=precision)
    for found, expected in zip(run(recurrence="auto"), run(recurrence="scan"), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_experimental_kernel_falls_back_and_says_why_once(caplog):
    backends._say_once.cache_clear()
    arguments = _arguments()
    with caplog.at_level(logging.WARNING, logger=backends.__name__):
        found = bidirectional_lstm(*arguments, recurrence=EXPERIMENTAL)
        bidirectional_lstm(*arguments, recurrence=EXPERIMENTAL)
    np.testing.assert_array_equal(found, bidirectional_lstm(*arguments, recurrence="auto"))
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("recurrence: 'experimental_persistent' ")
    assert message.endswith("'auto' runs instead")


@pytest.mark.skipif(
    jax.__version__ not in persistent.TESTED_JAX,
    reason=f"the kernel's interpret mode needs JAX {', '.join(persistent.TESTED_JAX)}",
)
def test_the_layer_around_the_kernel(monkeypatch):
    monkeypatch.setattr(backends, "backend", functools.partial(backends.backend, interpret=True))
    monkeypatch.setattr(persistent, "supported", lambda **_: None)
    arguments = _arguments(batch=2)
    found = _values_and_gradients(arguments, recurrence=EXPERIMENTAL)
    expected = _values_and_gradients(arguments, recurrence="scan")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        bidirectional_lstm(*arguments, recurrence=EXPERIMENTAL), expected[0], atol=1e-5
    )
