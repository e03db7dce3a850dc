"""The process of a measurement: calls one function and writes what it yields as lines of JSON.

Imports nothing but what that function's module imports, because the Python of a side may have its
own framework and nothing else. Run as a file, so that the function can be of another checkout.
"""

import gc
import importlib
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TURN_SECONDS, MIN_CALLS = 1.0, 5
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def serve(function: str, arguments: dict) -> None:
    """Write what `function` ('module:name') yields on what was stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    for answer in load(function)(**arguments):
        print(json.dumps(answer), file=answers)


def load(name: str) -> Callable:
    """The function 'module:name'."""
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def measurements(
    factory: str, settings: dict, work: dict, mode: str, repeat: int
) -> Iterator[dict]:
    """A side of a race: yields once when it is ready, then once for every line on stdin.

    Raises:
        ValueError: if what the side computes is not a finite number.
    """
    workload = importlib.import_module("experiments.benchmarks.workload")
    make, began = load(factory), time.perf_counter()
    call = make(workload.Workload(**work), mode, **settings)
    value = float(call())
    ready_seconds = time.perf_counter() - began
    if not math.isfinite(value):
        raise ValueError(f"{factory}: a finite number expected, it computed {value}")
    float(call())
    gc.collect()
    yield {"ready_seconds": ready_seconds}
    for _ in sys.stdin:
        yield _measured(call, repeat)


def _measured(call, repeat):
    if repeat > 1:
        began = time.perf_counter()
        float(call())
        enough = max(MIN_CALLS, math.ceil(TURN_SECONDS / (time.perf_counter() - began)))
        repeat = min(repeat, enough)
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(repeat):
        value = call()
    float(value)  # waits for the device
    measurement = {
        "seconds": (time.perf_counter() - began) / repeat,
        "cpu_seconds": (time.process_time() - cpu) / repeat,
        "peak_mb": _peak_mb(),
        "device_peak_mb": _device_peak_mb(),
    }
    if torch := _torch_on_gpu():
        torch.cuda.empty_cache()  # the other sides need it in their turns
    return measurement


def _peak_mb():
    """Of this program; what getrusage says may be that of the program which started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6


def _torch_on_gpu():
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _device_peak_mb():
    """The most memory in use on the GPU, by the side's own allocator."""
    if torch := _torch_on_gpu():
        return torch.cuda.max_memory_allocated() / 1e6
    if jax := sys.modules.get("jax"):
        stats = jax.local_devices()[0].memory_stats()
        return stats["peak_bytes_in_use"] / 1e6 if stats else None
    return None


def run(command: list[str]) -> Iterator[dict]:
    """A command as the one child of this small process: its seconds, `user` and `system` CPU
    seconds, and peak memory."""
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds, usage = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    peak_mb = usage.ru_maxrss * _RSS_UNIT / 1e6
    times = {"seconds": seconds, "user": usage.ru_utime, "system": usage.ru_stime}
    yield times | {"peak_mb": peak_mb}


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
