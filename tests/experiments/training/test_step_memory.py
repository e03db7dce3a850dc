"""The line that says what a training step takes of a device's memory."""

import types

import jax
import numpy as np
import pytest

from cerberus_jax.parallel import compile_step, jit_init, make_mesh, make_step, put_batch
from cerberus_jax.train_state import OptimizerConfig, TrainState
from experiments.training.step_memory import memory_line
from tests.tiny_network import noise_batch, tiny_model, tiny_task, weights


def test_it_adds_up_the_arrays_and_asks_the_compiler():
    task, mesh = tiny_task(model=tiny_model(layers=1, hidden=32)), make_mesh()
    batch = put_batch(noise_batch(4), mesh)
    state = jax.eval_shape(jit_init(task, mesh), jax.random.key(0), batch)
    params = 4 * sum(leaf.size for leaf in jax.tree.leaves(state.params))
    step = compile_step(make_step(task, mesh), state, batch, jax.random.key(0), weights())
    temporary = step.memory_analysis().temp_size_in_bytes
    line = memory_line(step, jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), state))
    assert line.startswith("Memory   per device: ")
    said = [float(part.split()[-2]) * 1e6 for part in line.split(", ")]
    # two moments of every parameter, and a few numbers
    assert said == pytest.approx([params, 2 * params, temporary], abs=0.06e6)


def test_a_compiler_that_does_not_tell_is_left_out():
    state = TrainState.create({"a": np.zeros(250_000, np.float32)}, OptimizerConfig())
    silent = types.SimpleNamespace(memory_analysis=lambda: None)
    line = memory_line(silent, state)
    assert line == "Memory   per device: parameters 1.0 MB, optimiser state 2.0 MB"
