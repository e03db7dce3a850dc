"""The tf.data pipeline: indices of steps -> planned batches -> PCM out of the memory map.

The map enters the graph through dlpack without a copy; tf.data's default optimisations must stay
off, because they would copy the captured tensor, that is the whole data set, into memory. Only
excerpts shifted by semitones are read and resampled by Python functions, which hold the
interpreter's lock.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from data_pipeline.fetch import process_rows, read_sources
from data_pipeline.plan import Planner

_UNBOUNDED = np.iinfo(np.int64).max


def batches(
    planner: Planner,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 2,
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of steps first_step, first_step + 1, ... as dicts of numpy arrays.

    Args:
        planner: what to fetch.
        first_step: the first batch.
        num_steps: how many batches; None: without end.
        process_index: which share of each batch.
        process_count: how many shares.
        num_threads: threads that read; the batches do not depend on it.
    """
    pipeline = dataset(
        planner,
        first_step=first_step,
        num_steps=num_steps,
        process_index=process_index,
        process_count=process_count,
        num_threads=num_threads,
    )
    return iter(pipeline.as_numpy_iterator())


def dataset(
    planner: Planner,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 2,
) -> tf.data.Dataset:
    """What `batches` iterates over, as a tf.data.Dataset."""
    if num_threads < 1:
        raise ValueError(f"num_threads must be positive, got {num_threads}")
    _keep_off_accelerators()
    config = planner.config
    rows = process_rows(config.batch_size, process_index=process_index, process_count=process_count)
    num_rows, num_slots = rows.stop - rows.start, len(config.instruments)
    length = config.num_samples
    maps = planner.catalogue.pcm()
    pcm = [_as_tensor(array) for array in maps]

    def plan(k):
        planned = planner.batch(int(k), rows=rows)
        return planned.corpora.astype(np.int32), planned.starts, planned.gains, planned.notes

    def fetch(k):
        dtypes = (tf.int32, tf.int64, tf.float32, tf.int16)
        corpora, starts, gains, notes = tf.numpy_function(plan, [k], dtypes, stateful=False)
        corpora = tf.reshape(tf.ensure_shape(corpora, (num_rows, num_slots)), [-1])
        starts = tf.reshape(tf.ensure_shape(starts, (num_rows, num_slots)), [-1])
        windows = [_window(pcm, corpora[i], starts[i], length) for i in range(num_rows * num_slots)]
        return {
            "sources": tf.reshape(tf.stack(windows), (num_rows, num_slots, length)),
            "gains": tf.ensure_shape(gains, (num_rows, num_slots)),
            "notes": tf.ensure_shape(notes, (num_rows, num_slots, planner.num_notes, 3)),
        }

    def plan_and_read(k):
        planned = planner.batch(int(k), rows=rows)
        return read_sources(planned, maps, length), planned.gains, planned.notes

    def fetch_shifted(k):
        dtypes = (tf.int16, tf.float32, tf.int16)
        sources, gains, notes = tf.numpy_function(plan_and_read, [k], dtypes, stateful=False)
        return {
            "sources": tf.ensure_shape(sources, (num_rows, num_slots, length)),
            "gains": tf.ensure_shape(gains, (num_rows, num_slots)),
            "notes": tf.ensure_shape(notes, (num_rows, num_slots, planner.num_notes, 3)),
        }

    last = _UNBOUNDED if num_steps is None else first_step + num_steps
    found = tf.data.Dataset.range(first_step, last)
    found = found.map(
        fetch_shifted if config.augment_semitones else fetch,
        num_parallel_calls=num_threads,
        deterministic=True,
    )
    found = found.prefetch(num_threads)
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    return found.with_options(options)


def _window(pcm: list[tf.Tensor], corpus: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    if len(pcm) == 1:
        return tf.slice(pcm[0], [start], [length])
    branches = [lambda one=one: tf.slice(one, [start], [length]) for one in pcm]
    return tf.switch_case(corpus, branches)


def _as_tensor(array: np.ndarray) -> tf.Tensor:
    return tf.experimental.dlpack.from_dlpack(np.asarray(array).__dlpack__())


def _keep_off_accelerators() -> None:
    """Leave all accelerators to JAX; without effect once TensorFlow has started its runtime."""
    for kind in ("GPU", "TPU"):
        try:
            tf.config.set_visible_devices([], kind)
        except RuntimeError:
            return
