"""A prepared data set and a run's directory in miniature, for tests; nothing is trained."""

from dataclasses import asdict

import jax
import numpy as np

from cerberus_jax.architecture import metadata_of
from cerberus_jax.checkpoint import CheckpointWriter
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.steps import init_state
from data_pipeline.prepared.layout import PCM
from data_pipeline.prepared.records import write_records
from experiments.config.loading import load_config, save_config
from experiments.training.task import task_of
from tests.tiny_network import half_full

RATE = 16000
RMS_HOP = 1600
SECONDS = 6
NUM_SAMPLES = SECONDS * RATE
INSTRUMENTS = ("piano", "drums")
SPLITS = ("train", "validation", "test", "test_unseen")


def prepare_data(root, *, splits=SPLITS, instruments=INSTRUMENTS):
    """Two tracks per split; each stem is a tone per note, on for half a second, off for a half.

    Args:
        root: where.
        splits: names of the splits.
        instruments: the classes of the stems, two per track; fewer are repeated.
    """
    rng = np.random.default_rng(0)
    num_tracks = 2 * len(splits)
    names = np.resize(instruments, (num_tracks, 2))
    pitches = np.stack([rng.integers(*(40, 80), (num_tracks, SECONDS)) for _ in INSTRUMENTS], 1)
    pitches[:, 1] = 38
    onsets = np.tile(np.arange(SECONDS, dtype=float), 2)
    records = {split: [] for split in splits}
    for track in range(num_tracks):
        first = 2 * track * NUM_SAMPLES
        records[splits[track // 2]].append(
            {
                "track_id": f"Track{track:05d}",
                "num_samples": NUM_SAMPLES,
                "sample_rate_hz": RATE,
                "stems": {
                    "id": ["S00", "S01"],
                    "instrument": names[track].tolist(),
                    "program": [0, 0],
                    "is_drum": [False, True],
                    "is_labelled": [True, True],
                    "pcm_start": [first, first + NUM_SAMPLES],
                },
                "rms_hop": RMS_HOP,
                "rms_db": np.full(2 * (NUM_SAMPLES // RMS_HOP), -15, np.float16),
                "note_stems": np.repeat(np.arange(2, dtype=np.int16), SECONDS),
                "onsets": onsets,
                "offsets": onsets + 0.5,
                "pitches": pitches[track].ravel().astype(np.int16),
                "velocities": np.full(2 * SECONDS, 90, np.int16),
            }
        )
    folder = write_records(records, "tiny", root)
    time = np.arange(NUM_SAMPLES) / RATE
    with (folder / PCM).open("wb") as file:
        for row in pitches.reshape(-1, SECONDS):
            hz = 440 * 2 ** ((np.repeat(row, RATE) - 69) / 12)
            tone = 8000 * (time % 1 < 0.5) * np.sin(2 * np.pi * hz * time)
            np.rint(tone).astype(np.int16).tofile(file)
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


def write_run(workdir, config, *, steps=(3,), with_notes=False):
    """A run's directory with untrained checkpoints: `last` of every step, `best` of the first.

    Args:
        workdir: where.
        config: of the run.
        steps: of the checkpoints.
        with_notes: whether the rolls hold notes, random ones that begin and end with sounds.
    """
    task = task_of(config)
    sources = np.ones((1, len(config.instruments), 2000), np.int16)
    batch = {
        "sources": sources,
        "gains": np.ones(sources.shape[:2], np.float32),
        "notes": np.zeros((*sources.shape[:2], 1, 3), np.int16),
        "labelled": np.ones(sources.shape[:2], np.bool_),
    }
    state = jax.jit(lambda batch: init_state(task, jax.random.key(0), batch))(batch)
    if with_notes:
        state = state.replace(params=half_full(state.params, contrast=20.0))
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
