"""Excerpts one by one, for evaluation: sources with their gains, and their notes."""

from collections.abc import Iterator

import numpy as np

from data_pipeline.io.pcm import scale_sources
from data_pipeline.planning.augment import notes_of_window
from data_pipeline.planning.batch import Excerpt
from data_pipeline.planning.planner import Planner
from data_pipeline.reading.numpy_reader import read_sources


def read_excerpts(planner: Planner, count: int, *, first: int = 0) -> Iterator[Excerpt]:
    """`count` excerpts from number `first` on, one by one, in the order of the batches."""
    catalogue, config = planner.catalogue, planner.config
    rate, pcm = catalogue.tables.sample_rate_hz, catalogue.pcm()
    length = config.num_samples / rate
    for index in range(first, first + count):
        k, row = divmod(index, config.batch_size)
        planned = planner.batch(k, rows=slice(row, row + 1))
        sources = read_sources(planned, pcm, config.num_samples)
        shifts = np.zeros_like(planned.stems) if planned.shifts is None else planned.shifts
        begin = planned.offsets[0] / rate
        notes = tuple(
            notes_of_window(catalogue.notes(stem), at, length, shift, rate)
            for stem, at, shift in zip(
                planned.stems[0].tolist(), begin.tolist(), shifts[0].tolist(), strict=True
            )
        )
        labelled = tuple(planned.labelled[0].tolist())
        yield Excerpt(planned.ids[0], scale_sources(sources, planned.gains)[0], notes, labelled)
