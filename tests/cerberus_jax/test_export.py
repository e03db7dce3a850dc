"""Every step can be exported for GPUs and TPUs here, where there are none, without what is only
there for CPUs."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

from cerberus_jax.frames import FrameGrid
from cerberus_jax.model import Cerberus
from cerberus_jax.steps import Task, eval_step, init_state, predict_step, train_step
from tests.tiny_network import noise_batch

ACCELERATORS = ("cuda", "tpu")
BATCH, SAMPLES = 5, 640  # no number of excerpts that microbatches of two would divide
SNR = {"mask_inference": {"kind": "snr"}}
SPECTRUM = {"mask_inference": {"target": "spectrum"}}
MASKS = {"mask_inference": {"pitch_channels": 2}}
PITCHWISE = {
    "harmonic": MASKS | {"harmonic": {"channels": 2, "pitch_units": 4}},
    "band_split": MASKS | {"band_split": {"channels": 2, "size": 4}},
}
# precision, trunk, kind of mask, options of the losses
NETWORKS = [
    ("float32", "blstm", "softmax", {"deep_clustering": {"stride": 2}}),
    ("bfloat16", "blstm", "complex", SPECTRUM),
    ("float32", "harmonic", "real", SNR),
    ("bfloat16", "harmonic", "sigmoid", SNR),
    ("bfloat16", "band_split", "softmax", SNR),
]
FOR_CPUS = re.compile(r"optimization_barrier|LayoutConstraint")
ONE_PRODUCT = re.compile(r"dot_general.*batching_dims = \[0\] x \[0\].*tensor<2x\d+x4xb?f(16|32)>")


def _task(precision, trunk, mask, loss_options):
    heads = ("mask_inference", "transcription")
    model = Cerberus(
        FrameGrid(16000, 128, 32),
        ("piano", "bass"),
        layers=1,
        hidden=4,
        embedding_dim=2,
        dropout=0.3,
        precision=precision,
        trunk_name=trunk,
        mask_activation=mask,
        heads=(*heads, "onsets") if trunk in PITCHWISE else ("deep_clustering", *heads),
        options=PITCHWISE.get(trunk, {}),
    )
    return Task(model=model, loss_options=loss_options, microbatch_size=2)


def _steps(task):
    """Name, function and arguments (shapes) of every step."""
    shapes = functools.partial(jax.tree.map, lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype))
    batch = shapes(noise_batch(BATCH, num_samples=SAMPLES))
    key, weights = jax.eval_shape(
        lambda: (jax.random.key(0), {n: jnp.float32(1) for n in task.heads})
    )
    state = jax.eval_shape(functools.partial(init_state, task), key, batch)
    waveform = jax.ShapeDtypeStruct((BATCH, SAMPLES), "float32")
    yield functools.partial(train_step, task=task), (state, batch, key, weights)
    yield functools.partial(eval_step, task=task), (state.params, batch, weights)
    yield functools.partial(predict_step, model=task.model), (state.params, waveform)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(n[:3]))
def test_every_step_is_exported_for_cuda_and_tpu(network):
    for function, arguments in _steps(_task(*network)):
        exported = export.export(jax.jit(function), platforms=ACCELERATORS)(*arguments)
        assert exported.platforms == ACCELERATORS
        program = exported.mlir_module()
        assert not FOR_CPUS.search(program)
        assert ONE_PRODUCT.search(program), "both directions should be one product"


def test_programs_for_cpus_have_what_those_have_not():
    function, arguments = next(_steps(_task(*NETWORKS[1])))
    lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cpu",))
    program = lowered.as_text()
    assert {found.group() for found in FOR_CPUS.finditer(program)} == {
        "optimization_barrier",
        "LayoutConstraint",
    }
    assert not ONE_PRODUCT.search(program)
