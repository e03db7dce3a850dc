"""The tf.data pipeline: planned batches -> PCM out of the memory map, read by several threads.

Plans are made in Python, a few steps ahead of the reading, and handed to tf.data through a queue;
nothing inside the graph calls back into Python. A callback would need the interpreter's lock, which
whoever drops an unfinished iterator holds while it waits for the callbacks to end. The map enters
the graph through dlpack without a copy; tf.data's default optimisations must stay off, because they
would copy the captured tensor, that is the whole data set, into memory.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from data_pipeline.planning.planner import Planner
from data_pipeline.reading.cpu_tensorflow import tf
from data_pipeline.reading.numpy_reader import numpy_batches, process_rows

# What a plan tells the readers, by tensor.
_PLAN_TYPES = {
    "corpora": np.int32,
    "starts": np.int64,
    "gains": np.float32,
    "notes": np.int16,
    "labelled": np.bool_,
    "equalisers": np.float32,
}
_FOR_READING = ("corpora", "starts")
# Steps that are planned at once: a plan is many small calls of numpy, however long their arrays.
_STEPS_PER_PLAN = 8


def batches(
    planner: Planner,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 2,
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `numpy_batches`, with its arguments, read by `num_threads` threads.

    Excerpts shifted by semitones are resampled in Python: with that option it is the numpy reader
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
    return _read_planned(planner, rows, first_step, num_steps, num_threads)


def _read_planned(
    planner: Planner, rows: slice, first_step: int, num_steps: int | None, num_threads: int
) -> Iterator[dict[str, np.ndarray]]:
    """Keeps a plan in the queue for every thread and for every batch that may wait to be taken, so
    that reading never waits for planning."""
    plans = _plans(planner, rows, itertools.islice(itertools.count(first_step), num_steps))
    first = next(plans, None)
    if first is None:
        return
    shapes = {name: value.shape[1:] for name, value in first.items()}
    min_waiting = 3 * num_threads
    queue = _queue(min_waiting + _STEPS_PER_PLAN, shapes)
    dataset = _dataset(queue, num_steps, _reader(planner, shapes["starts"]), num_threads)
    read, waiting = dataset.as_numpy_iterator(), 0
    for plan in itertools.chain([first], plans):
        queue.enqueue_many(plan)
        waiting += len(plan["starts"])
        while waiting > min_waiting:
            waiting -= 1
            yield next(read)
    yield from read


def _plans(planner: Planner, rows: slice, steps: Iterator[int]) -> Iterator[dict[str, np.ndarray]]:
    """Plans of some steps at a time, as tensors [steps b ...]."""
    while steps_of_plan := list(itertools.islice(steps, _STEPS_PER_PLAN)):
        plan = planner.batches(steps_of_plan, rows=rows)
        values = {name: getattr(plan, name) for name in _FOR_READING} | plan.beside_audio
        tensors = {name: value.astype(_PLAN_TYPES[name]) for name, value in values.items()}
        yield {
            name: value.reshape(len(steps_of_plan), -1, *value.shape[1:])
            for name, value in tensors.items()
        }


def _queue(capacity: int, shapes: dict[str, tuple[int, ...]]) -> tf.queue.FIFOQueue:
    kinds = [_PLAN_TYPES[name] for name in shapes]
    return tf.queue.FIFOQueue(capacity, kinds, list(shapes.values()), list(shapes))


def _reader(planner: Planner, shape: tuple[int, int]) -> Callable:
    """A graph (corpora, starts) -> sources [b s n]."""
    pcm = [_as_tensor(array) for array in planner.catalogue.pcm()]
    length = planner.config.num_samples

    def read(corpora, starts):
        count = shape[0] * shape[1]
        starts = tf.split(tf.reshape(starts, [-1]), count)
        corpora = tf.unstack(tf.reshape(corpora, [-1]))
        windows = [_window(pcm, corpora[i], starts[i], length) for i in range(count)]
        return tf.reshape(tf.stack(windows), (*shape, length))

    return read


def _dataset(
    queue: tf.queue.FIFOQueue, num_steps: int | None, read: Callable, num_threads: int
) -> tf.data.Dataset:
    """The batches of the plans in the queue, in their order."""

    @tf.autograph.experimental.do_not_convert
    def fetch(plan):
        beside_audio = {name: plan[name] for name in plan if name not in _FOR_READING}
        return {"sources": read(plan["corpora"], plan["starts"])} | beside_audio

    dataset = tf.data.Dataset.range(tf.int64.max if num_steps is None else num_steps)
    dataset = dataset.map(tf.autograph.experimental.do_not_convert(lambda _: queue.dequeue()))
    dataset = dataset.map(fetch, num_parallel_calls=num_threads, deterministic=True)
    dataset = dataset.prefetch(num_threads)
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)


def _window(pcm: list[tf.Tensor], corpus: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    if len(pcm) == 1:
        return tf.slice(pcm[0], start, [length])
    branches = [
        lambda of_corpus=of_corpus: tf.slice(of_corpus, start, [length]) for of_corpus in pcm
    ]
    return tf.switch_case(corpus, branches)


def _as_tensor(array: np.ndarray) -> tf.Tensor:
    return tf.experimental.dlpack.from_dlpack(np.asarray(array).__dlpack__())
