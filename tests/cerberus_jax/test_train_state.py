"""Optimiser, schedules and plateau."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.train_state import OptimizerConfig, Plateau, TrainState


def test_plateau_halves_after_more_than_its_patience_and_counts_anew():
    """Loss, scale afterwards, validations in a row without a new best: torch's rule by hand."""
    table = [
        (3.0, 1.0, 0),
        (2.0, 1.0, 0),
        (2.0, 1.0, 1),
        (2.5, 1.0, 2),
        (2.1, 0.5, 0),  # the third: more than two
        (2.0, 0.5, 1),
        (2.2, 0.5, 2),
        (1.0, 0.5, 0),
        (1.0, 0.5, 1),
        (1.5, 0.5, 2),
        (1.5, 0.25, 0),
    ]
    plateau = Plateau.start()
    for loss, scale, stale in table:
        plateau = plateau.update(loss, factor=0.5, patience=2)
        assert (float(plateau.scale), int(plateau.stale)) == (scale, stale)
    assert float(plateau.best) == 1.0


def test_without_patience_every_validation_that_is_no_better_lowers_the_rate():
    plateau = Plateau.start().update(1.0, factor=0.5, patience=0)
    assert float(plateau.scale) == 1
    assert float(plateau.update(1.0, factor=0.5, patience=0).scale) == 0.5


def test_plateau_keeps_its_types():
    plateau = Plateau.start().update(1.0, factor=0.5, patience=1)
    types = [[leaf.dtype for leaf in jax.tree.leaves(p)] for p in (plateau, Plateau.start())]
    assert types[0] == types[1]


def test_cosine_with_warmup():
    config = OptimizerConfig(learning_rate=2.0, schedule="cosine", warmup_steps=4, num_steps=104)
    rates = [float(config.rate(jnp.int32(step))) for step in (0, 3, 4, 54, 104)]
    np.testing.assert_allclose(rates, [0.5, 2.0, 2.0, 1.0, 0.0], atol=1e-6)


def test_plateau_schedule_is_flat_after_warmup():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=2)
    assert [float(config.rate(jnp.int32(k))) for k in (0, 1, 9)] == [0.5, 1.0, 1.0]


def test_a_run_shorter_than_its_warmup_still_learns():
    config = OptimizerConfig(learning_rate=1.0, schedule="cosine", warmup_steps=8, num_steps=4)
    assert all(float(config.rate(jnp.int32(k))) > 0 for k in range(4))


def test_first_step_is_adam_by_hand_after_clipping():
    config = OptimizerConfig(learning_rate=0.1, gradient_clip_norm=1.0, eps=0.5)
    state = TrainState.create({"w": jnp.asarray([1.0, 2.0])}, config)
    after, rate = state.apply_gradients({"w": jnp.asarray([30.0, 40.0])}, config)
    clipped = np.array([0.6, 0.8])
    # At the first step Adam's bias-corrected moments are the gradient and its square.
    expected = np.array([1.0, 2.0]) - 0.1 * clipped / (clipped + 0.5)
    np.testing.assert_allclose(after.params["w"], expected, rtol=1e-5)
    assert int(after.step) == 1 and float(rate) == np.float32(0.1)


def test_plateau_scale_multiplies_the_rate():
    config = OptimizerConfig(learning_rate=0.1)
    state = TrainState.create({"w": jnp.ones(2)}, config)
    state = state.replace(plateau=state.plateau.replace(scale=jnp.float32(0.25)))
    assert float(state.apply_gradients({"w": jnp.ones(2)}, config)[1]) == np.float32(0.025)


def test_unknown_schedule():
    with pytest.raises(ValueError, match=r"optimizer\.schedule: one of .* got 'linear'"):
        OptimizerConfig(schedule="linear")


def test_average_follows_the_parameters_as_a_loop_says():
    config = OptimizerConfig(learning_rate=0.1, average_decay=0.6)
    state = TrainState.create({"w": jnp.asarray([1.0, -2.0])}, config)
    expected = np.array([1.0, -2.0])
    for step in range(12):
        state, _ = state.apply_gradients({"w": jnp.asarray([0.3, -0.1 * step])}, config)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * np.asarray(state.params["w"], np.float64)
        np.testing.assert_allclose(state.average["w"], expected, rtol=1e-5)
    assert state.evaluated is state.average
    assert np.abs(np.asarray(state.params["w"]) - expected).max() > 0.01


def test_without_an_average_the_parameters_are_evaluated():
    state = TrainState.create({"w": jnp.ones(2)}, OptimizerConfig())
    assert state.average is None and state.evaluated is state.params
