"""The side of this project: its training step and its inference, as training and `separate` run
them. The one file of the benchmarks that knows how a network and its task are made."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax import parallel
from cerberus_jax.frames import FrameGrid
from cerberus_jax.lstm import backends
from cerberus_jax.microbatches import choose_microbatch_size
from cerberus_jax.model import Cerberus
from cerberus_jax.steps import Task
from cerberus_jax.trunks.base import FEATURES
from cerberus_jax.trunks.blstm import BLSTM
from experiments.benchmarks.workload import NUM_PITCHES, SEED, Workload, loader_batch, song

LOSS_WEIGHTS = {"deep_clustering": 0.1, "mask_inference": 0.1, "transcription": 0.8}
BLOCK_SAMPLES = 1 << 16  # the blocks in which `separate` reads a song


def make(work: Workload, mode: str, **settings):
    """A function of nothing that does one training step ('train') or one song ('infer'), or runs
    the trunk alone: its forward pass ('forward'), or both passes to the gradients ('gradient').

    Settings: any field of Cerberus (precision, ...); beside them, of 'train' microbatch_size, of
    'infer' exact. Of the trunk recurrence and precision.
    """
    makers = {"train": _train, "infer": _infer, "forward": _forward, "gradient": _gradient}
    return makers[mode](work, **settings)


def network(work: Workload, **settings) -> Cerberus:
    """The network of a workload."""
    sizes = ("layers", "hidden", "dropout", "embedding_dim")
    return Cerberus(
        FrameGrid(work.sample_rate_hz, work.window, work.hop),
        tuple(f"instrument_{k}" for k in range(work.num_instruments)),
        **{name: getattr(work, name) for name in sizes} | settings,
    )


def insist_on_backend(recurrence: str, *, batch: int, hidden: int, precision: str) -> None:
    """What runs in the place of a backend that cannot must not be measured in its name.

    Raises:
        ValueError: unless this backend of the recurrence runs here, or it is 'auto'.
    """
    runs = backends.choose(recurrence, batch=batch, hidden=hidden, precision=precision)
    if recurrence not in ("auto", runs):
        raise ValueError(f"recurrence: {recurrence!r} does not run here, {runs!r} would instead")


def task(
    work: Workload, *, microbatch_size: int = 0, accumulation_steps: int = 1, **settings
) -> Task:
    """The training task of a workload; microbatch_size 0 is that which training takes."""
    model = network(work, **settings)
    batch = work.batch_size // jax.device_count() // accumulation_steps
    insist_on_backend(model.recurrence, batch=batch, hidden=model.hidden, precision=model.precision)
    platform = jax.devices()[0].platform
    size = choose_microbatch_size(
        batch, work.num_frames, platform=platform, at_most=microbatch_size
    )
    return Task(model=model, microbatch_size=size, accumulation_steps=accumulation_steps)


def compiled_step(work: Workload, **settings):
    """The training step over all devices, compiled; a function of nothing that makes the first
    state; and what else the step is called with."""
    mesh, job = parallel.make_mesh(), task(work, **settings)
    batch = parallel.put_batch(loader_batch(work), mesh)
    init_key, dropout_key = jax.random.split(jax.random.key(0))
    weights = {name: jnp.float32(value) for name, value in LOSS_WEIGHTS.items()}
    rest = (batch, dropout_key, jax.device_put(weights, parallel.replicated(mesh)))
    init = functools.partial(parallel.jit_init(job, mesh), init_key, batch)
    step = parallel.compile_step(parallel.make_step(job, mesh), jax.eval_shape(init), *rest)
    return step, init, rest


def _train(work, **settings):
    step, init, rest = compiled_step(work, **settings)
    state = init()

    def call():
        nonlocal state
        state, metrics = step(state, *rest)
        return metrics["loss"]

    return call


def _infer(work, exact=False, **settings):
    from cerberus_jax.inference import Predictor  # training needs none of what that imports

    predictor = dataclasses.replace(Predictor.untrained(network(work, **settings)), exact=exact)
    waveform = song(work)
    num_sources = work.num_instruments

    def call():
        """The whole song's audio [s n] and rolls [s t p] on the host, as PyTorch's side."""
        audio = np.empty((num_sources, len(waveform)), np.float32)
        rolls = np.empty((num_sources, work.num_frames, NUM_PITCHES), np.float32)
        sample, frame = 0, 0
        blocks = np.split(waveform[None], range(BLOCK_SAMPLES, len(waveform), BLOCK_SAMPLES), 1)
        for sources, block_rolls in predictor.predict_stream(iter(blocks)):
            audio[:, sample : sample + sources.shape[2]] = sources[:, 0]
            block_frames = block_rolls.frames
            rolls[:, frame : frame + block_frames.shape[1]] = block_frames
            sample, frame = sample + sources.shape[2], frame + block_frames.shape[1]
        return audio[0, 0] + rolls[0, 0, 0]

    return call


def trunk(work: Workload, recurrence: str, precision: str):
    """Inputs [b t f] and weights of the trunk, and a function of both that gives its features."""
    insist_on_backend(recurrence, batch=work.batch_size, hidden=work.hidden, precision=precision)
    shape = (work.batch_size, work.num_frames, work.num_bins)
    inputs = jax.random.normal(jax.random.key(SEED), shape)
    sizes = {"layers": work.layers, "hidden": work.hidden, "grid": FrameGrid()}  # of no use to it
    layers = BLSTM(**sizes, recurrence=recurrence, precision=precision)

    def apply(params, inputs):
        return layers.apply(params, {"scaled": inputs}, train=False)[FEATURES]

    init = jax.jit(functools.partial(layers.init, train=False))
    return inputs, init(jax.random.key(0), {"scaled": inputs}), apply


def _forward(work, **settings):
    inputs, params, apply = trunk(work, **settings)

    @jax.jit
    def forward(params, inputs):
        features = apply(params, inputs)
        return features[0, 0, 0], features

    return lambda: forward(params, inputs)[0]


def _gradient(work, **settings):
    inputs, params, apply = trunk(work, **settings)
    cotangent = jax.random.normal(jax.random.key(SEED + 1), (*inputs.shape[:2], 2 * work.hidden))

    @jax.jit
    def gradient(params, inputs, cotangent):
        features, vjp = jax.vjp(lambda params: apply(params, inputs), params)
        return features[0, 0, 0], vjp(cotangent)

    return lambda: gradient(params, inputs, cotangent)[0]
