"""The process of a measurement: calls one function and writes what it yields as lines of JSON.

Imports nothing but what that function's module imports, because the Python of a side may have its
own framework and nothing else. Run as a file, so that the function can be of another checkout.
"""

import gc
import importlib
import json
import math
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator

TURN_SECONDS, MIN_CALLS = 1.0, 5
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


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


def turns(factory: str, settings: dict, work: dict, mode: str, repeat: int) -> Iterator[dict]:
    """A side of a race: yields once when it is ready, then once for every line on stdin.

    Raises:
        ValueError: if what the side computes is not a finite number.
    """
    workload = importlib.import_module("experiments.benchmarks.workload")
    call = load(factory)(workload.Workload(**work), mode, **settings)
    began = time.perf_counter()
    value = float(call())
    first = time.perf_counter() - began
    if not math.isfinite(value):
        raise ValueError(f"{factory}: a finite number expected, it computed {value}")
    float(call())
    gc.collect()
    loaded = {name: sys.modules[name] for name in ("jax", "torch") if name in sys.modules}
    versions = {name: str(module.__version__) for name, module in loaded.items()}
    versions["python"] = platform.python_version()
    yield {"first_call_seconds": first, "versions": versions}
    for _ in sys.stdin:
        yield _turn(call, repeat)


def _turn(call, repeat):
    if repeat > 1:
        began = time.perf_counter()
        float(call())
        enough = max(MIN_CALLS, math.ceil(TURN_SECONDS / (time.perf_counter() - began)))
        repeat = min(repeat, enough)
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(repeat):
        value = call()
    float(value)  # waits for the device
    turn = {
        "seconds": (time.perf_counter() - began) / repeat,
        "cpu_seconds": (time.process_time() - cpu) / repeat,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e6,
        "device_peak_mb": _device_peak_mb(),
    }
    if torch := _torch_on_gpu():
        torch.cuda.empty_cache()  # the other sides need it in their turns
    return turn


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


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
