"""The numpy reader: planned batches -> batches, without TensorFlow.

Equal bit for bit to what `tf_reader` yields; for machines without TensorFlow, benchmarks and tests.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int16

from data_pipeline.io.audio import resample
from data_pipeline.io.pcm import PCM_SCALE, to_pcm16
from data_pipeline.planning.augment import MARGIN, read_length
from data_pipeline.planning.batch import PlannedBatch
from data_pipeline.planning.notes import stretched_rate
from data_pipeline.planning.planner import Planner


def process_rows(batch_size: int, *, process_index: int, process_count: int) -> slice:
    """The rows of the global batch that a process takes: contiguous, disjoint, all of equal number.

    Raises:
        ValueError: if the batch cannot be divided so, or there is no such process.
    """
    if process_count < 1 or not 0 <= process_index < process_count:
        raise ValueError(
            f"process_index must lie in 0..process_count-1, got {process_index} of {process_count}"
        )
    if batch_size % process_count:
        raise ValueError(
            f"batch_size={batch_size} cannot be divided among {process_count} processes"
        )
    share = batch_size // process_count
    return slice(process_index * share, (process_index + 1) * share)


def read_sources(
    planned: PlannedBatch, pcm: list[Int16[np.ndarray, " _"]], num_samples: int
) -> Int16[np.ndarray, "b s n"]:
    """The PCM of a planned batch."""
    sources = np.empty((*planned.stems.shape, num_samples), np.int16)
    for b, s in np.ndindex(planned.stems.shape):
        start, of_corpus = planned.starts[b, s], pcm[planned.corpora[b, s]]
        if planned.shifts is not None and planned.shifts[b, s]:
            sources[b, s] = _read_shifted(
                of_corpus,
                int(start),
                int(planned.shifts[b, s]),
                num_samples=num_samples,
                sample_rate_hz=planned.catalogue.tables.sample_rate_hz,
            )
        else:
            sources[b, s] = of_corpus[start : start + num_samples]
    return sources


def numpy_batches(
    planner: Planner,
    *,
    first_step: int = 0,
    num_steps: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of steps first_step, first_step + 1, ... as dicts of numpy arrays.

    Each holds `sources` int16 [b s n], and as PlannedBatch says `gains` [b s], `notes` [b s m 3],
    `labelled` [b s] and, where sources are filtered, `equalisers` [b s k].

    Args:
        planner: what to read.
        first_step: the first batch.
        num_steps: how many batches; None: without end.
        process_index: which share of each batch.
        process_count: how many shares.
    """
    rows = process_rows(
        planner.config.batch_size, process_index=process_index, process_count=process_count
    )
    return _batches(planner, first_step, num_steps, rows)


def _batches(planner, first_step, num_steps, rows):
    pcm = planner.catalogue.pcm()
    steps = itertools.count(first_step)
    for k in steps if num_steps is None else itertools.islice(steps, num_steps):
        planned = planner.batch(k, rows=rows)
        sources = read_sources(planned, pcm, planner.config.num_samples)
        yield {"sources": sources} | planned.beside_audio


def _read_shifted(
    pcm: Int16[np.ndarray, " _"],
    start: int,
    shift: int,
    *,
    num_samples: int,
    sample_rate_hz: int,
) -> Int16[np.ndarray, " n"]:
    """The window from `start` on, shifted by resampling; the margins around it must be there."""
    from_hz = int(stretched_rate(np.array(shift), sample_rate_hz))
    length = int(read_length(np.array(shift), num_samples, sample_rate_hz))
    window = pcm[start - MARGIN : start + length + MARGIN].astype(np.float32)
    moved = resample(window / PCM_SCALE, from_hz=from_hz, to_hz=sample_rate_hz)
    first = round(MARGIN * sample_rate_hz / from_hz)
    return to_pcm16(moved[first : first + num_samples])
