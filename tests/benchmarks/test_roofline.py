"""Operations counted from sizes, against a count of the products that the network really does."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES
from cerberus_jax.steps import init_state, train_step
from cerberus_jax.targets import draw_rolls, source_waveforms
from experiments.benchmarks import ours, roofline, workload
from experiments.benchmarks.roofline import Part
from experiments.benchmarks.workload import SMALL, Workload

PAPER = Workload()
PRODUCTS_OF_OTHER_KINDS = {"Fourier transforms"}


def products_in(jaxpr) -> int:
    """Operations of all matrix products of a traced function, loops counted as often as they run,
    of two branches the cheaper."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            depth = math.prod(left[axis] for axis in contracted)
            total += 2 * depth * math.prod(equation.outvars[0].aval.shape)
            continue
        inner = [products_in(jaxpr) for jaxpr in _inside(equation.params)]
        if equation.primitive.name == "cond":
            total += min(inner)
        else:
            total += sum(inner) * equation.params.get("length", 1)
    return total


def _inside(params):
    for value in params.values():
        for inner in value if isinstance(value, tuple | list) else (value,):
            if isinstance(inner, jax.extend.core.ClosedJaxpr):
                yield inner.jaxpr
            elif isinstance(inner, jax.extend.core.Jaxpr):
                yield inner


def counted(parts) -> float:
    return sum(part.flops for part in parts if part.name not in PRODUCTS_OF_OTHER_KINDS)


def test_inference_has_the_products_of_the_network():
    model = ours.network(SMALL)
    magnitude = jnp.zeros((SMALL.batch_size, SMALL.num_frames, SMALL.num_bins))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), magnitude, train=False))
    heads = ("mask_inference", "transcription")
    traced = jax.make_jaxpr(lambda p: model.apply(p, magnitude, train=False, heads=heads))(params)
    assert products_in(traced.jaxpr) == counted(roofline.inference(SMALL))


@pytest.mark.parametrize("changes", [{}, {"layers": 3}, {"num_instruments": 4, "hidden": 12}])
def test_a_training_step_has_the_products_of_the_step(changes):
    work = Workload(**{**SMALL.__dict__, **changes})
    task = ours.task(work)
    batch = workload.loader_batch(work)
    key = jax.random.key(0)
    state = jax.eval_shape(lambda b: init_state(task, key, b), batch)
    weights = dict.fromkeys(ours.LOSS_WEIGHTS, jnp.float32(1))
    traced = jax.make_jaxpr(lambda *a: train_step(*a, task=task))(state, batch, key, weights)
    # The trace has the gradient of the first layer's input, which the compiler drops as unused.
    frames = work.batch_size * work.num_frames
    unused = 2 * frames * work.num_bins * 2 * 4 * work.hidden
    assert products_in(traced.jaxpr) == counted(roofline.training_step(work)) + unused


def test_the_papers_network_has_the_known_sizes():
    inputs, recurrent = roofline.trunk_products(PAPER)
    heads = 2 * PAPER.hidden * sum(roofline.head_outputs(PAPER).values())
    known = [11.1e6, 5.8e6, 15.9e6]  # operations per frame, counted by hand
    assert [2 * n for n in (inputs, recurrent, heads)] == pytest.approx(known, rel=0.01)
    assert roofline.serial_steps(PAPER) == 2 * 313 * 4


@pytest.mark.parametrize("work", [SMALL, PAPER])
def test_parameters_are_those_of_the_network(work):
    model = ours.network(work)
    magnitude = jnp.zeros((1, 2, work.num_bins))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), magnitude, train=False))
    assert roofline.num_parameters(work) == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_operations_of_the_trunk_alone():
    """Forward: inputs and recurrence once. Both passes: three times that, the first layer's input
    gradient left out."""
    rows, gates = PAPER.batch_size * PAPER.num_frames, 8 * PAPER.hidden
    inputs = gates * (PAPER.num_bins + 3 * 2 * PAPER.hidden)
    loop = 4 * gates * PAPER.hidden
    forward = counted(roofline.parts_of(PAPER, "forward", "float32"))
    assert forward == 2 * rows * (inputs + loop)
    both = counted(roofline.parts_of(PAPER, "gradient", "float32"))
    assert both == 3 * forward - 2 * rows * gates * PAPER.num_bins


def test_the_recurrence_is_a_part_of_the_step():
    step = {part.name: part for part in roofline.training_step(PAPER, "bfloat16")}
    assert all(step[part.name] == part for part in roofline.recurrence(PAPER, "bfloat16"))


def test_bytes_halve_with_the_precision_where_they_are_of_the_network():
    full, half = (roofline.recurrence(PAPER, name) for name in ("float32", "bfloat16"))
    assert [p.num_bytes for p in full] == [2 * p.num_bytes for p in half]


def test_a_part_takes_the_longer_of_its_two_times():
    machine = {"product_flops": {"float32": 100.0, "bfloat16": 200.0}, "copy_bytes": 10.0}
    parts = [Part("products", 300.0, 10.0), Part("bytes", 100.0, 40.0)]
    assert roofline.roofline_seconds(parts, machine, "float32") == 3.0 + 4.0
    assert roofline.roofline_seconds(parts, machine, "bfloat16") == 1.5 + 4.0


@pytest.mark.parametrize("work", [SMALL, PAPER, Workload(seconds=6.4, hop=512)])
def test_frames_are_those_of_the_grid(work):
    grid = FrameGrid(work.sample_rate_hz, work.window, work.hop)
    assert work.num_frames == grid.num_frames(work.num_samples)
    assert work.num_bins == grid.num_bins
    assert (workload.NUM_PITCHES, workload.LOWEST_PITCH) == (NUM_PITCHES, LOWEST_PITCH)


def test_both_sides_get_the_same_excerpts():
    batch, made = workload.loader_batch(SMALL), workload.float_batch(SMALL)
    sources = source_waveforms(jnp.asarray(batch["sources"]), jnp.asarray(batch["gains"]))
    np.testing.assert_allclose(made["sources"], sources, rtol=1e-6)
    np.testing.assert_allclose(made["mixture"], sources.sum(1), atol=1e-6)
    rolls = np.asarray(draw_rolls(jnp.asarray(batch["notes"]), SMALL.num_frames)).swapaxes(2, 3)
    # This project also clears the frame before an onset that repeats a sounding pitch.
    assert np.all(rolls <= made["rolls"])
    assert np.sum(rolls != made["rolls"]) <= batch["notes"].shape[:3][-1] * rolls[:, :, 0, 0].size
    assert rolls.any()
