"""A small network, its task and a batch of noise, for tests of the training code."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.model import Cerberus
from cerberus_jax.steps import Task
from cerberus_jax.train_state import OptimizerConfig

GRID = FrameGrid(16000, 128, 32)
INSTRUMENTS = ("piano", "bass")


def tiny_model(**changes) -> Cerberus:
    settings = {"layers": 2, "hidden": 8, "dropout": 0.0, "embedding_dim": 5} | changes
    return Cerberus(GRID, INSTRUMENTS, **settings)


def tiny_task(*, model=None, optimizer=None, **changes) -> Task:
    return Task(
        model=model or tiny_model(),
        optimizer=optimizer or OptimizerConfig(),
        **changes,
    )


def half_full(params, *, contrast: float = 1.0) -> dict:
    """The parameters with rolls around one half: those of an untrained network are nearly empty.

    Their logits are multiplied by `contrast`. From about 20 on, notes begin and end with sounds.
    """
    heads = {
        name: {
            "kernel": contrast * params[name]["kernel"],
            "bias": jnp.zeros_like(params[name]["bias"]),
        }
        for name in {"transcription_head", "onset_head"} & params.keys()
    }
    return {**params, **heads}


def half_full_network(predictor: Predictor, *, contrast: float = 1.0) -> Predictor:
    """The same network with parameters of `half_full`."""
    return dataclasses.replace(predictor, params=half_full(predictor.params, contrast=contrast))


def noise_batch(size: int = 8, *, seed: int = 0, num_samples: int = 1280) -> dict:
    rng = np.random.default_rng(seed)
    num_sources = len(INSTRUMENTS)
    notes = np.zeros((size, num_sources, 32, 3), np.int16)
    first = rng.integers(0, 30, (size, num_sources, 6))
    notes[:, :, :6, 0] = first
    notes[:, :, :6, 1] = first + rng.integers(1, 10, first.shape)
    notes[:, :, :6, 2] = rng.integers(21, 109, first.shape)
    return {
        "sources": rng.integers(-9000, 9000, (size, num_sources, num_samples)).astype(np.int16),
        "gains": rng.uniform(0.7, 1.4, (size, num_sources)).astype(np.float32),
        "notes": notes,
    }


def weights(deep_clustering=0.1, mask_inference=0.1, transcription=0.8) -> dict:
    values = {
        "deep_clustering": deep_clustering,
        "mask_inference": mask_inference,
        "transcription": transcription,
    }
    return {name: jnp.float32(value) for name, value in values.items()}
