"""The process of one side of a race (race.py): prepares, then does a turn per line on its stdin.

Imports nothing but what the side's own module imports.
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

from experiments.benchmarks.workload import Workload

TURN_SECONDS, MIN_CALLS = 1.0, 5
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def serve(spec: dict) -> None:
    """Answer every 'go' with what a turn took, as a line of JSON on what was stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    module, name = spec["factory"].split(":")
    factory = getattr(importlib.import_module(module), name)
    call = factory(Workload(**spec["work"]), spec["mode"], **spec["settings"])
    began = time.perf_counter()
    float(call())
    first = time.perf_counter() - began
    float(call())
    print(json.dumps({"first_call_seconds": first, "versions": _versions()}), file=answers)
    gc.collect()
    for line in sys.stdin:
        if line.strip() != "go":
            raise ValueError(f"race worker: 'go' expected, got {line!r}")
        print(json.dumps(_turn(call, spec["repeat"])), file=answers)


def _turn(call, repeat):
    start, began = _cpu_seconds(), time.perf_counter()
    if repeat > 1:
        float(call())
        enough = max(MIN_CALLS, math.ceil(TURN_SECONDS / (time.perf_counter() - began)))
        repeat = min(repeat, enough)
    cpu, began = _cpu_seconds(), time.perf_counter()
    for _ in range(repeat):
        value = call()
    value = float(value)  # waits for the device
    seconds, end = time.perf_counter() - began, _cpu_seconds()
    found = {
        "seconds": seconds / repeat,
        "cpu_seconds": (end - cpu) / repeat,
        "all_cpu_seconds": end - start,
        "value": value,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6,
        "device_peak_mb": _device_peak_mb(),
    }
    _release()
    return found


def _cpu_seconds():
    times = os.times()
    return times.user + times.system


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


def _release():
    """Memory that PyTorch keeps for later goes back: the other sides need it in their turns."""
    if torch := _torch_on_gpu():
        torch.cuda.empty_cache()


def _versions():
    found = {"python": platform.python_version()}
    loaded = {name: sys.modules.get(name) for name in ("jax", "torch")}
    return found | {name: str(module.__version__) for name, module in loaded.items() if module}


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
