"""A step that takes its batch in parts is the step that takes it at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax import steps
from cerberus_jax.parallel import check_batch_size
from cerberus_jax.steps import init_state, train_step
from tests.tiny_network import noise_batch, tiny_model, tiny_task

KEY = jax.random.key(1)
LOSSES = {
    "deep_clustering": {},
    "mask_inference": {},
    "transcription": {"normaliser": "active"},
    "onsets": {},
}


def _task(parts):
    model = tiny_model(layers=1, hidden=4, heads=tuple(LOSSES))
    return tiny_task(model=model, loss_options=LOSSES, accumulation_steps=parts)


def test_parts_give_the_update_of_the_whole_batch():
    """In float64, whatever a loss is divided by, and with weights that differ."""
    with jax.enable_x64(True):
        batch = noise_batch(6)
        batch["gains"] = batch["gains"].astype(np.float64)
        batch["labelled"] = np.arange(12).reshape(6, 2) % 5 > 0
        weights = {name: np.float64(0.2 + 0.1 * k) for k, name in enumerate(LOSSES)}
        state = jax.jit(functools.partial(init_state, _task(1)))(KEY, batch)
        whole, parts = (
            jax.jit(functools.partial(train_step, task=_task(k)))(state, batch, KEY, weights)
            for k in (1, 3)
        )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, parts[1], whole[1])
    jax.tree.map(close, parts[0].opt_state, whole[0].opt_state)


def test_every_part_has_every_other_example_and_a_key_of_its_own():
    seen = []
    batch = {"x": jnp.arange(6.0)}

    def gradients(part, key):
        jax.debug.callback(lambda x, d: seen.append((x.tolist(), float(d))), part["x"], key[0])
        return part["x"].mean()

    key = jnp.arange(2, dtype=jnp.uint32)
    mean = jax.jit(lambda: steps._mean_of_parts(gradients, batch, key, 2))()
    expected = [float(jax.random.fold_in(key, j)[0]) for j in range(2)]
    jax.effects_barrier()
    assert seen == [([0, 2, 4], expected[0]), ([1, 3, 5], expected[1])] and mean == 2.5


def test_a_part_that_is_not_finite_makes_the_whole_so():
    """So the update is left out, or the run ends."""
    batch = {"x": jnp.asarray([1.0, 2.0, 3.0, jnp.nan])}
    mean = steps._mean_of_parts(lambda part, _: part["x"].mean(), batch, KEY, 2)
    assert np.isnan(mean)


def test_parts_must_be_equal():
    with pytest.raises(ValueError, match="accumulation_steps: must divide the batch of 4, got 3"):
        steps._mean_of_parts(None, noise_batch(4), KEY, 3)
    with pytest.raises(ValueError, match=r"2 devices times 3 of train\.acc.*batch_size=12"):
        check_batch_size(8, 2, 3)
    check_batch_size(12, 2, 3)
