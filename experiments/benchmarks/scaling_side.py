"""The training step at sizes of its own: a point of a cost curve, as a side of one race."""

from dataclasses import replace

from experiments.benchmarks import ours
from experiments.benchmarks.workload import Workload


def make(work: Workload, mode: str, *, sizes: dict, **settings):
    """As ours.make, for the workload with other `sizes`."""
    return ours.make(replace(work, **sizes), mode, **settings)
