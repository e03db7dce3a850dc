"""One step at a time: determinism, learning, evaluation, prediction."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.heads import PAPER_HEADS
from cerberus_jax.model import INPUT_SCALINGS, relative_db
from cerberus_jax.parallel import jit_eval, jit_init, make_mesh, make_step, put_batch
from cerberus_jax.steps import eval_step, init_state, masks_and_rolls, predict_step, train_step
from cerberus_jax.stft import stft
from cerberus_jax.targets import source_waveforms
from cerberus_jax.train_state import OptimizerConfig
from tests.tiny_network import GRID, noise_batch, tiny_model, tiny_task, weights

KEY = jax.random.key(1)


def _train(task, batch, num_steps):
    state = init_state(task, jax.random.key(0), batch)
    step = jax.jit(lambda s: train_step(s, batch, KEY, weights(), task=task))
    history = []
    for _ in range(num_steps):
        state, metrics = step(state)
        history.append(jax.tree.map(float, metrics))
    return state, history


def test_a_fixed_batch_is_learnt():
    task = tiny_task(
        model=tiny_model(hidden=32), optimizer=OptimizerConfig(learning_rate=0.01, num_steps=150)
    )
    history = _train(task, noise_batch(4), 150)[1]
    for name in ("loss", "deep_clustering", "transcription"):
        assert history[-1][name] < 0.9 * history[0][name], name


def test_metrics_are_the_parts_and_their_sum():
    first = _train(tiny_task(), noise_batch(4), 1)[1][0]
    parts = {name: first[name] for name in PAPER_HEADS}
    expected = sum(float(weights()[name]) * value for name, value in parts.items())
    np.testing.assert_allclose(first["loss"], expected, rtol=1e-5)
    assert first["gradient_norm"] > 0 and first["learning_rate"] == np.float32(1e-3)


def test_dropout_follows_the_step_and_the_key():
    task, batch = tiny_task(model=tiny_model(dropout=0.5)), noise_batch(4)
    state = init_state(task, jax.random.key(0), batch)
    step = jax.jit(lambda s, key: train_step(s, batch, key, weights(), task=task)[1]["loss"])
    loss = lambda s, key: float(step(s, key))  # noqa: E731
    assert loss(state, KEY) == loss(state, KEY)
    assert loss(state, KEY) != loss(state, jax.random.key(2))
    assert loss(state, KEY) != loss(state.replace(step=state.step + 1), KEY)


def test_evaluation_looks_at_every_frame_and_gives_one_value_per_example():
    batch = noise_batch(4)
    plain = tiny_task()
    strided = tiny_task(
        loss_options={"deep_clustering": {"stride": 4}, "mask_inference": {"stride": 2}}
    )
    params = init_state(plain, jax.random.key(0), batch).params
    found = [
        jax.jit(lambda p, task=task: eval_step(p, batch, weights(), task=task))(params)
        for task in (plain, strided)
    ]
    jax.tree.map(np.testing.assert_array_equal, *found)
    assert found[0]["loss"].shape == (4,)


def test_the_affine_input_begins_normalised():
    task, batch = tiny_task(model=tiny_model(input_scaling="excerpt_db_affine")), noise_batch(8)
    affine = init_state(task, jax.random.key(0), batch).params["input_affine"]
    mixture = source_waveforms(jnp.asarray(batch["sources"]), jnp.asarray(batch["gains"])).sum(1)
    scaled = relative_db(jnp.abs(stft(mixture, GRID)))
    normal = scaled * affine["scale"] + affine["shift"]
    np.testing.assert_allclose(normal.mean((0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(normal.std((0, 1)), 1, atol=1e-3)


def test_estimates_sum_to_the_mixture_and_rolls_are_probabilities():
    model = tiny_model()
    waveform = jnp.asarray(np.random.default_rng(0).standard_normal((2, 1000)), jnp.float32)
    params = model.init(KEY, jnp.ones((1, 2, GRID.num_bins)), train=False)["params"]
    predict = jax.jit(lambda p, w: predict_step(p, w, model=model))
    estimates, rolls = predict(params, waveform)
    np.testing.assert_allclose(estimates.sum(1), waveform, atol=1e-5)
    assert rolls.frames.shape == (2, 2, GRID.num_frames(1000), 88) and rolls.onsets is None
    assert ((rolls.frames > 0) & (rolls.frames < 1)).all()


def test_an_onset_head_changes_nothing_of_the_others():
    model = tiny_model(heads=(*PAPER_HEADS, "onsets"))
    magnitude = jnp.asarray(np.random.default_rng(0).random((1, 9, GRID.num_bins)), jnp.float32)
    params = model.init(KEY, magnitude, train=False)["params"]
    without = tiny_model().init(KEY, magnitude, train=False)["params"]
    rest = {name: value for name, value in params.items() if name != "onset_head"}
    jax.tree.map(np.testing.assert_array_equal, rest, without)
    masks, rolls = masks_and_rolls(params, magnitude, model=model)
    masks_without, rolls_without = masks_and_rolls(without, magnitude, model=tiny_model())
    np.testing.assert_array_equal(masks, masks_without)
    np.testing.assert_array_equal(rolls.frames, rolls_without.frames)
    logits = model.apply({"params": params}, magnitude, train=False).onset_logits
    np.testing.assert_allclose(rolls.onsets, 1 / (1 + np.exp(-np.asarray(logits))), rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 3])
def test_an_onset_head_learns(stride):
    task = tiny_task(
        model=tiny_model(heads=("transcription", "onsets")),
        loss_options={"onsets": {"stride": stride, "width": 2}},
        optimizer=OptimizerConfig(learning_rate=0.02, num_steps=150),
    )
    batch = noise_batch(4)
    state = init_state(task, KEY, batch)
    step = jax.jit(functools.partial(train_step, task=task))
    loss_weights = {"transcription": jnp.float32(0.8), "onsets": jnp.float32(0.5)}
    history = []
    for _ in range(150):
        state, scalars = step(state, batch, KEY, loss_weights)
        history.append({name: float(value) for name, value in scalars.items()})
    first, last = history[0], history[-1]
    np.testing.assert_allclose(
        first["loss"], 0.8 * first["transcription"] + 0.5 * first["onsets"], rtol=1e-5
    )
    assert last["onsets"] < 0.9 * first["onsets"]


def test_prediction_without_a_mask_head():
    model = tiny_model(heads=("deep_clustering", "transcription"))
    params = model.init(KEY, jnp.ones((1, 2, GRID.num_bins)), train=False)["params"]
    estimates, rolls = predict_step(params, jnp.ones((1, 500)), model=model)
    assert estimates is None and rolls is not None


def test_silence_trains_without_nan():
    batch = noise_batch(4)
    batch["sources"][:] = 0
    state, history = _train(tiny_task(), batch, 3)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert history[0]["deep_clustering"] == history[0]["mask_inference"] == 0


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize("input_scaling", INPUT_SCALINGS)
def test_float64_as_the_default_changes_no_types(input_scaling, parallel):
    """JAX_ENABLE_X64 makes new arrays float64; a run in float32 is to stay one. Types are known
    without computing anything."""
    task = tiny_task(
        model=tiny_model(input_scaling=input_scaling),
        loss_options={name: {"stride": 2} for name in weights()},
    )
    with jax.enable_x64(True):
        mesh = make_mesh()
        batch = put_batch(noise_batch(4), mesh)
        state = jax.eval_shape(jit_init(task, mesh), jax.random.key(0), batch)
        types = jax.tree.map(lambda leaf: leaf.dtype, state)
        step = make_step(task, mesh, parallel=parallel)
        state, metrics = jax.eval_shape(step, state, batch, KEY, weights())
        assert jax.tree.map(lambda leaf: leaf.dtype, state) == types
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {np.dtype("float32")}
        assert {leaf.dtype for leaf in jax.tree.leaves(metrics)} == {np.dtype("float32")}
        losses = jax.eval_shape(jit_eval(task, mesh), state.params, batch, weights())
        assert losses["loss"].dtype == np.float32
