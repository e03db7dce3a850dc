"""Who races: this project, another checkout of it and PyTorch, on a device, at a precision."""

import os
import statistics
import subprocess
from collections.abc import Sequence

from experiments.benchmarks.machine import ENVIRONMENT
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import Workload
from experiments.runtime.huge_pages import huge_pages, on_request_only

PEER = "experiments.benchmarks.peer:make"
OURS = "experiments.benchmarks.ours:make"
PROJECT = "cerberus_jax"  # how the names of this project's sides begin
PUBLISHED, EAGER = "published", "eager"
# What a float32 array is multiplied in by default: TensorFloat-32 on a GPU, in both frameworks
# where PyTorch is told so.
FULL_PRECISION = {"cpu": "float32", "gpu": "tf32"}
PEER_VARIANT = {"float32": [], "tf32": ["tf32"], "bfloat16": ["bf16"]}


def ours(name: str, work: Workload, mode: str, precision: str, device: str, **settings) -> Side:
    """A side of this project; `settings` as in ours.make.

    A training step gets large pages on a CPU, as from experiments.run, inference does not, as in
    `separate`. (PyTorch is not faster with them.)
    """
    variables = environment(device, precision)
    if device == "cpu" and mode == "train" and on_request_only():
        variables |= huge_pages(os.environ)
    settings = {"precision": of_network(precision), **settings}
    return Side(name, OURS, work, mode, settings, precision=precision, environment=variables)


def of_network(precision: str) -> str:
    """The network's setting for a precision."""
    return "bfloat16" if precision == "bfloat16" else "float32"


def environment(device: str, precision: str) -> dict[str, str]:
    """Variables of a process that runs JAX on a device; they say what a float32 product is."""
    products = {"tf32": "tensorfloat32", "float32": "float32"}.get(precision)
    if device == "cpu" or not products:
        return dict(ENVIRONMENT[device])
    return ENVIRONMENT[device] | {"JAX_DEFAULT_MATMUL_PRECISION": products}


def peer(
    form: str, work: Workload, mode: str, precision: str, device: str, variants: Sequence[str]
) -> Side:
    """A side of PyTorch; `variants` as in peer.VARIANTS, beside those that the precision asks."""
    settings = {"device": device, "variants": [*variants, *PEER_VARIANT[precision]]}
    return Side(f"PyTorch {form}", PEER, work, mode, settings, precision=precision)


def torch_version(python: str) -> str | None:
    """The version of PyTorch in this Python; None where it has none, ValueError if it is none."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    try:
        # Elsewhere, because here any folder named torch would pass for it.
        program = os.path.abspath(python) if os.sep in python else python
        run = subprocess.run([program, "-c", code], capture_output=True, text=True, cwd=os.sep)
    except OSError as error:
        raise ValueError(
            f"peer_python: a Python with PyTorch expected, e.g. --peer_python=python3, got "
            f"{python} ({error.strerror})"
        ) from None
    return run.stdout.strip() if run.returncode == 0 else None


def comparisons(result: SideResult, results: list[SideResult]) -> dict:
    """How a side compares with those of PyTorch in its race; what cannot be said is left out.

    Beside the published form: time and memory. Beside the forms at equal precision: times as fast
    as the fastest, by medians and by the median of the rounds' ratios; memory of the leanest.
    """
    peers = [rival for rival in results if rival.side.factory == PEER and rival.seconds]
    ratios = {}
    for rival in peers:
        if rival.side.name == f"PyTorch {PUBLISHED}":
            ratios["times_published"] = rival.median / result.median
            ratios["memory_of_published"] = _memory(result) / _memory(rival)
    if same := [rival for rival in peers if rival.side.precision == result.side.precision]:
        best = min(same, key=lambda rival: rival.median)
        ratios["times_best_peer"] = best.median / result.median
        rounds = zip(best.seconds, result.seconds, strict=False)  # one may have failed later
        by_round = statistics.median(theirs / ours for theirs, ours in rounds)
        ratios["times_best_peer_by_round"] = by_round
        ratios["memory_of_leanest_peer"] = _memory(result) / min(map(_memory, same))
    return ratios


def _memory(result):
    """The memory that runs out first: the GPU's, if there is one."""
    return result.device_peak_mb or result.peak_mb
