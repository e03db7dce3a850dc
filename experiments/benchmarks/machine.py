"""The machine in words, and its rates of matrix products and of copying, for the roofline."""

import datetime
import functools
import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.io.processes import num_processors
from experiments.benchmarks.child import ROOT, ChildFailed, answers

DEVICES = ("cpu", "gpu")
# Whole tracebacks, because those of a side that fails are shown by their end.
_TRACEBACKS = {"JAX_TRACEBACK_FILTERING": "off"}
ENVIRONMENT = {
    "cpu": {"JAX_PLATFORMS": "cpu", **_TRACEBACKS},
    # The sides share one GPU, so none may take all its memory.
    "gpu": {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **_TRACEBACKS},
}
PRECISIONS = {"cpu": ("float32", "bfloat16"), "gpu": ("float32", "tf32", "bfloat16")}
_PRODUCT_SIZE = {"cpu": 2048, "gpu": 8192}
_COPY_BYTES = {"cpu": 1 << 28, "gpu": 1 << 32}
_REPEATS, _CALLS = 15, {"cpu": 1, "gpu": 20}


def describe() -> dict:
    """`device`, `versions`, `date`, `commit` and `load` (of the last minute), nothing measured."""
    jax_version = importlib.metadata.version("jax")
    return {
        "device": cpu_words(),
        "versions": {"Python": platform.python_version(), "JAX": jax_version},
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "load": round(os.getloadavg()[0], 1),
    }


@functools.cache
def measure(device: str, *, small: bool = False) -> dict:
    """`describe`, with the name of a GPU, `product_flops` {precision: FLOP/s} and `copy_bytes`
    (bytes read and written per second), measured in a process of its own.

    Raises:
        ValueError: if JAX cannot use such a device.
    """
    machine = describe()
    try:
        function = "experiments.benchmarks.machine:rates"
        (measured,) = answers(function, environment=ENVIRONMENT[device], device=device, small=small)
    except ChildFailed as error:
        raise ValueError(
            f"device: a {device} that JAX can use expected, found none "
            f"({str(error).splitlines()[-1]}); a gpu needs a JAX with CUDA"
        ) from None
    kind = measured.pop("kind")
    return machine | measured | ({"device": f"{kind} ({cpu_words()})"} if device == "gpu" else {})


def words(machine: dict) -> str:
    """One line for a table's head."""
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
    when = f"{machine['date']}, commit {machine['commit']}, load {machine['load']} at the start"
    return f"{machine['device']}; {versions}; {when}"


def commit() -> str:
    """The commit of this checkout, with '+' where files differ from it; '' outside of one."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:  # no git
        return ""


def cpu_words() -> str:
    """Model and usable cores of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{(models or [platform.machine()])[0]}, {num_processors()} cores"


def rates(device: str, small: bool) -> Iterator[dict]:
    """What `measure` gives of the device that this process has: of square products of random
    numbers with float32 sums, and of adding one to a large array where it lies."""
    import jax
    import jax.numpy as jnp

    size = 64 if small else _PRODUCT_SIZE[device]
    num_bytes = 1 << 16 if small else _COPY_BYTES[device]
    factors = {"float32": jax.lax.Precision.HIGHEST, "tf32": jax.lax.Precision.DEFAULT}
    flops = {}
    for name in PRECISIONS[device]:
        dtype = jnp.bfloat16 if name == "bfloat16" else jnp.float32
        matrix = jax.random.normal(jax.random.key(0), (size, size), dtype)
        settings = {"precision": factors.get(name), "preferred_element_type": jnp.float32}
        multiply = jax.jit(functools.partial(jnp.matmul, **settings))
        seconds = _min_seconds(functools.partial(multiply, matrix, matrix), _CALLS[device])
        flops[name] = 2 * size**3 / seconds
    array = jnp.zeros(num_bytes // 4, jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def add_in_place():
        nonlocal array
        array = add(array)
        return array

    copy_bytes = 2 * num_bytes / _min_seconds(add_in_place, _CALLS[device])
    kind = jax.devices()[0].device_kind
    yield {"kind": kind, "product_flops": flops, "copy_bytes": copy_bytes}


def _min_seconds(call, calls: int) -> float:
    """Of one call, in the best of some repetitions: what the machine can do undisturbed."""
    call().block_until_ready()
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        for _ in range(calls):
            result = call()
        result.block_until_ready()
        seconds.append((time.perf_counter() - began) / calls)
    return min(seconds)
