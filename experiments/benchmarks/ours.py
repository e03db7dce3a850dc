"""The JAX side: the training step and inference of this project, as training and `separate` run
them: `Task` under `parallel.jit_step` with donated state, `Predictor.predict_stream`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax import parallel
from cerberus_jax.clip_losses import HeadOptions
from cerberus_jax.frames import FrameGrid
from cerberus_jax.joint_loss import choose_microbatch_size
from cerberus_jax.lstm import backends
from cerberus_jax.model import Cerberus
from cerberus_jax.steps import Task, init_state
from experiments.benchmarks.workload import NUM_PITCHES, Workload, loader_batch, song

LOSS_WEIGHTS = {"deep_clustering": 0.1, "mask_inference": 0.1, "transcription": 0.8}
BLOCK_SAMPLES = 1 << 16  # the blocks in which `separate` reads a song
_NOT_SETTINGS = {"grid", "instruments", "mesh", "parent", "name"}


def make(work: Workload, mode: str, **settings):
    """A function of nothing that does one training step ('train') or one song ('infer').

    Settings of 'train': microbatch_size, and any field of Cerberus (precision, ...). Settings of
    'infer': exact, window_seconds, context_seconds, windows_per_call, and any field of Cerberus.

    Raises:
        ValueError: if the mode or a setting is unknown.
    """
    makers = {"train": _train, "infer": _infer}
    if mode not in makers:
        raise ValueError(f"mode: one of {', '.join(makers)}, got {mode!r}")
    return makers[mode](work, settings)


def network(work: Workload, **settings) -> Cerberus:
    """The network of a workload."""
    known = {field.name for field in dataclasses.fields(Cerberus)} - _NOT_SETTINGS
    if unknown := set(settings) - known:
        raise ValueError(
            f"settings: among {', '.join(sorted(known))}, got {', '.join(sorted(unknown))}"
        )
    return Cerberus(
        FrameGrid(work.sample_rate_hz, work.window, work.hop),
        tuple(f"instrument_{k}" for k in range(work.num_instruments)),
        **{
            "layers": work.layers,
            "hidden": work.hidden,
            "dropout": work.dropout,
            "embedding_dim": work.embedding_dim,
            **settings,
        },
    )


def insist_on_path(recurrence: str, *, batch: int, hidden: int, precision: str) -> None:
    """What runs in the place of a path that cannot must not be measured in its name.

    Raises:
        ValueError: unless this path of the recurrence runs here, or it is 'auto'.
    """
    runs = backends.choose(recurrence, batch=batch, hidden=hidden, precision=precision)
    if recurrence not in ("auto", runs):
        raise ValueError(f"recurrence: {recurrence!r} does not run here, {runs!r} would instead")


def task(work: Workload, *, microbatch_size: int = 0, **settings) -> Task:
    """The training task of a workload; microbatch_size 0 is that which training takes."""
    model = network(work, **settings)
    insist_on_path(
        model.recurrence,
        batch=work.batch_size // jax.device_count(),
        hidden=model.hidden,
        precision=model.precision,
    )
    options = HeadOptions(
        embedding_activation=model.embedding_activation,
        mask_activation=model.mask_activation,
        precision=model.precision,
    )
    turn = choose_microbatch_size(
        work.batch_size // jax.device_count(), work.num_frames, most=microbatch_size
    )
    return Task(model=model, options=options, microbatch_size=turn)


def _train(work, settings):
    mesh = parallel.make_mesh()
    same = parallel.replicated(mesh)
    job = task(work, **settings)
    step = parallel.make_step(job, mesh)
    batch = parallel.put_batch(loader_batch(work), mesh)
    init_key, dropout_key = jax.random.split(jax.random.key(0))
    state = jax.device_put(jax.jit(lambda b: init_state(job, init_key, b))(batch), same)
    weights = {name: jnp.float32(value) for name, value in LOSS_WEIGHTS.items()}
    weights = jax.device_put(weights, same)

    step = parallel.compile_step(step, state, batch, dropout_key, weights)

    def call():
        nonlocal state
        state, metrics = step(state, batch, dropout_key, weights)
        return metrics["loss"]

    return call


def _infer(work, settings):
    from cerberus_jax.inference import Predictor  # training needs none of what that imports

    names = {field.name for field in dataclasses.fields(Predictor)}
    own = {name: value for name, value in settings.items() if name in names}
    rest = {name: value for name, value in settings.items() if name not in names}
    predictor = dataclasses.replace(Predictor.untrained(network(work, **rest)), **own)
    waveform = song(work)
    num_sources = work.num_instruments

    def call():
        """The whole song's audio [s n] and rolls [s t p] on the host, as the other side's."""
        audio = np.empty((num_sources, len(waveform)), np.float32)
        rolls = np.empty((num_sources, work.num_frames, NUM_PITCHES), np.float32)
        sample, frame = 0, 0
        blocks = np.split(waveform[None], range(BLOCK_SAMPLES, len(waveform), BLOCK_SAMPLES), 1)
        for sources, part in predictor.predict_stream(iter(blocks)):
            audio[:, sample : sample + sources.shape[2]] = sources[:, 0]
            rolls[:, frame : frame + part.shape[1]] = part
            sample, frame = sample + sources.shape[2], frame + part.shape[1]
        return audio[0, 0] + rolls[0, 0, 0]

    return call
