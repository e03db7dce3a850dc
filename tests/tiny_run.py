"""A prepared data set and a run's directory in miniature, for tests; nothing is trained."""

from dataclasses import asdict

import jax
import numpy as np

from cerberus_jax.architecture import metadata_of
from cerberus_jax.checkpoint import CheckpointWriter
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.steps import init_state
from data_pipeline.prepared.catalogue import PCM, SIDECAR, VERSION, Tables
from experiments.config.loading import load_config, save_config
from experiments.training.task import task_of

RATE = 16000
CELL = 1600
SECONDS = 6
INSTRUMENTS = ("piano", "drums")
SPLITS = ("train", "validation", "test", "test_unseen")


def prepare_data(root, *, splits=SPLITS, instruments=INSTRUMENTS):
    """Two tracks per split; each stem is a tone per note, on for half a second, off for a half."""
    rng = np.random.default_rng(0)
    num_tracks, num_stems = 2 * len(splits), 2 * 2 * len(splits)
    num_samples = SECONDS * RATE
    onsets = np.arange(SECONDS)
    pitches = np.stack([rng.integers(*(40, 80), (num_stems // 2, SECONDS)) for _ in INSTRUMENTS], 1)
    pitches[:, 1] = 38
    pitches = pitches.reshape(num_stems, SECONDS)
    time = np.arange(num_samples) / RATE
    on = time % 1 < 0.5
    pcm = []
    for row in pitches:
        hz = 440 * 2 ** ((np.repeat(row, RATE) - 69) / 12)
        pcm.append(np.rint(8000 * on * np.sin(2 * np.pi * hz * time)).astype(np.int16))
    folder = root / "tiny" / VERSION
    folder.mkdir(parents=True)
    np.concatenate(pcm).tofile(folder / PCM)
    cells = num_samples // CELL
    notes = num_stems * SECONDS
    Tables(
        sample_rate_hz=RATE,
        cell=CELL,
        track_ids=np.array([f"Track{i:05d}" for i in range(num_tracks)]),
        track_splits=np.array([split for split in splits for _ in range(2)]),
        track_corpora=np.zeros(num_tracks, np.int32),
        track_num_samples=np.full(num_tracks, num_samples),
        stem_tracks=np.repeat(np.arange(num_tracks, dtype=np.int32), 2),
        stem_ids=np.array(["S00", "S01"] * num_tracks),
        stem_instruments=np.array(list(instruments) * num_tracks),
        stem_programs=np.zeros(num_stems, np.int32),
        stem_is_drum=np.array([False, True] * num_tracks),
        stem_pcm_start=np.arange(num_stems) * num_samples,
        level_start=np.arange(num_stems + 1) * cells,
        levels=np.full(num_stems * cells, -15, np.float16),
        note_start=np.arange(num_stems + 1) * SECONDS,
        onsets=np.tile(onsets.astype(float), num_stems),
        offsets=np.tile(onsets + 0.5, num_stems),
        pitches=pitches.reshape(notes).astype(np.int16),
        velocities=np.full(notes, 90, np.int16),
    ).save(folder / SIDECAR)
    return root


def tiny_config(root, **fields):
    """A network that computes in milliseconds."""
    values = {
        "instruments": INSTRUMENTS,
        "batch_size": 2,
        "excerpt_seconds": 1.0,
        "audio.window": 512,
        "data.root": str(root),
        "data.num_test_excerpts": 3,
        "data.num_validation_excerpts": 3,
        "evaluation.excerpt_seconds": 2.0,
        "model.layers": 1,
        "model.hidden": 8,
        "model.embedding_dim": 2,
    }
    return load_config("sets/set1.py", values | fields)


def write_run(workdir, config, *, steps=(3,)):
    """A run's directory with untrained checkpoints: `last` of every step, `best` of the first."""
    task = task_of(config)
    sources = np.ones((1, len(config.instruments), 2000), np.int16)
    batch = {
        "sources": sources,
        "gains": np.ones(sources.shape[:2], np.float32),
        "notes": np.zeros((*sources.shape[:2], 1, 3), np.int16),
    }
    state = jax.jit(lambda batch: init_state(task, jax.random.key(0), batch))(batch)
    decoding = asdict(DecodingConfig(threshold=config.decoding.threshold))
    metadata = metadata_of(task.model, dict.fromkeys(config.instruments, decoding))
    save_config(config, workdir)
    with CheckpointWriter(workdir) as writer:
        for step in steps:
            state = state.replace(step=jax.numpy.asarray(step, state.step.dtype))
            writer.save("last", state, metadata)
            if step == steps[0]:
                writer.save("best", state, metadata)
    return workdir
