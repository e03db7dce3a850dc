"""The tf.data pipeline: planned batches -> PCM out of the memory map, read by several threads.

The plan is made in Python, a few dozen steps at a time, and handed to tf.data as tensors; nothing
inside the graph calls back into Python. A callback would need the interpreter's lock, which whoever
drops an unfinished iterator holds while it waits for the callbacks to end. The map enters the graph
through dlpack without a copy; tf.data's default optimisations must stay off, because they would
copy the captured tensor, that is the whole data set, into memory.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from data_pipeline.fetch import numpy_batches, process_rows
from data_pipeline.plan import PlannedBatch, Planner

# Steps planned at a time: their plans wait in memory, about 0.2 MB each.
_STEPS_PLANNED = 32


def batches(
    planner: Planner,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 2,
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `fetch.numpy_batches`, with its arguments, read by `num_threads` threads.

    Excerpts shifted by semitones are resampled in Python: with that option it is the numpy fetcher
    that reads, in one thread.

    Raises:
        ValueError: if `num_threads` is not positive, or the batch cannot be divided so.
    """
    if num_threads < 1:
        raise ValueError(f"num_threads must be positive, got {num_threads}")
    share = {"process_index": process_index, "process_count": process_count}
    rows = process_rows(planner.config.batch_size, **share)
    if planner.config.augment_semitones:
        return numpy_batches(planner, first_step=first_step, num_steps=num_steps, **share)
    _keep_off_accelerators()
    steps = itertools.count(first_step)
    steps = steps if num_steps is None else itertools.islice(steps, num_steps)
    return _read_planned(planner, steps, rows, num_threads)


def _read_planned(
    planner: Planner, steps: Iterable[int], rows: slice, num_threads: int
) -> Iterator[dict[str, np.ndarray]]:
    shape = (rows.stop - rows.start, len(planner.config.instruments))
    read = _reader(planner, shape)
    steps = iter(steps)
    while some := list(itertools.islice(steps, _STEPS_PLANNED)):
        planned = [planner.batch(k, rows=rows) for k in some]
        yield from _dataset(planned, read, num_threads).as_numpy_iterator()


def _reader(planner: Planner, shape: tuple[int, int]) -> Callable:
    """A graph (corpora, starts) -> sources [b s n], traced once for all data sets of a run."""
    pcm = [_as_tensor(array) for array in planner.catalogue.pcm()]
    length = planner.config.num_samples

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.int32), tf.TensorSpec(shape, tf.int64)])
    def read(corpora, starts):
        corpora, starts = tf.reshape(corpora, [-1]), tf.reshape(starts, [-1])
        windows = [_window(pcm, corpora[i], starts[i], length) for i in range(shape[0] * shape[1])]
        return tf.reshape(tf.stack(windows), (*shape, length))

    return read


def _dataset(planned: list[PlannedBatch], read: Callable, num_threads: int) -> tf.data.Dataset:
    """The batches of some plans, in their order, read by `num_threads` threads."""
    plans = {
        "corpora": np.stack([p.corpora for p in planned]).astype(np.int32),
        "starts": np.stack([p.starts for p in planned]),
        "gains": np.stack([p.gains for p in planned]),
        "notes": np.stack([p.notes for p in planned]),
    }

    def fetch(plan):
        sources = read(plan["corpora"], plan["starts"])
        return {"sources": sources, "gains": plan["gains"], "notes": plan["notes"]}

    found = tf.data.Dataset.from_tensor_slices(plans)
    found = found.map(fetch, num_parallel_calls=num_threads, deterministic=True)
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
