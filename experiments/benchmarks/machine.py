"""The machine in words, and what it can do at most: rates of matrix products and of copying.

    python -m experiments.benchmarks.machine --device=gpu

The rates are measured with JAX on large arrays; roofline.py turns them into the least time that a
piece of work can take.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from experiments.benchmarks.race import QUIET_SECONDS, usable_cores, wait_for_quiet
from experiments.config.command_line import CommandFlags, run_command

FILE = "machine.json"
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


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    flags = CommandFlags(
        "python -m experiments.benchmarks.machine [--device=cpu|gpu]",
        "Describe this machine, and measure its rates of matrix products and of copying.",
    )
    flags.string("device", "cpu", "cpu or gpu.")
    flags.boolean("small", "Small arrays, to try the command.")
    flags.string("out", "", "JSON file that gets the figures, for the --machine of benchmarks.")
    flags.boolean("here", "Measure in this process; used by the benchmarks.")
    return run_command(_machine, flags, argv=argv)


def _machine(flags: CommandFlags) -> None:
    check_device(flags.device)
    if flags.here:
        print(json.dumps(_measure(flags.device, small=flags.small)))
        return
    found = measure(flags.device, small=flags.small)
    print(words(found))
    for precision, rate in found["product_flops"].items():
        print(f"{precision} products: {rate / 1e9:.0f} GFLOP/s")
    print(f"copy, bytes read and written: {found['copy_bytes'] / 1e9:.1f} GB/s")
    if flags.out:
        Path(flags.out).write_text(json.dumps(found, indent=1) + "\n")


def check_device(device: str) -> None:
    """Raises ValueError unless the device is one of DEVICES."""
    if device not in DEVICES:
        raise ValueError(f"device: one of {', '.join(DEVICES)}, got {device!r}")


def measure(device: str, *, small: bool = False) -> dict:
    """What the machine is and can do, measured in a process of its own, so that the caller holds
    no device.

    Returns:
        words for `words`, `date`, `commit`, `product_flops` {precision: FLOP/s} and `copy_bytes`
        (bytes read and written per second).

    Raises:
        ValueError: if JAX cannot use such a device.
    """
    check_device(device)
    command = [sys.executable, "-m", "experiments.benchmarks.machine", "--here"]
    command += [f"--device={device}", *(["--small"] if small else [])]
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    if not small:
        wait_for_quiet(QUIET_SECONDS)
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT[device] | {"PYTHONPATH": path},
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(
            f"device: a {device} that JAX can use expected, found none ({last}); known: "
            f"{', '.join(DEVICES)}, and for gpu a JAX with CUDA"
        )
    return json.loads(run.stdout.splitlines()[-1])


def words(machine: dict) -> str:
    """One line for a table's head."""
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
    return f"{machine['device']}; {versions}; {machine['date']}, commit {machine['commit']}"


def commit() -> str:
    """The commit of this checkout, with '+' where files differ from it; '' outside of one."""
    root = Path(__file__).resolve().parents[2]
    found = []
    for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"]):
        try:
            run = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True)
        except FileNotFoundError:
            return ""
        if run.returncode:
            return ""
        found.append(run.stdout.strip())
    return found[0] + ("+" if found[1] else "")


def cpu_words() -> str:
    """Model and usable cores of the processor."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else model}, {usable_cores()} cores"


def _measure(device: str, *, small: bool) -> dict:
    import jax

    shown = cpu_words()
    if device == "gpu":
        shown = f"{jax.devices()[0].device_kind} ({shown})"
    size = 64 if small else _PRODUCT_SIZE[device]
    num_bytes = 1 << 16 if small else _COPY_BYTES[device]
    return {
        "device": shown,
        "versions": {"Python": platform.python_version(), "JAX": jax.__version__},
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "product_flops": {
            precision: _product_rate(precision, size, _CALLS[device])
            for precision in PRECISIONS[device]
        },
        "copy_bytes": _copy_rate(num_bytes, _CALLS[device]),
    }


def _product_rate(precision: str, size: int, calls: int) -> float:
    """FLOP/s of a square product of random numbers with float32 sums."""
    import jax
    import jax.numpy as jnp

    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    products = {"float32": jax.lax.Precision.HIGHEST, "tf32": jax.lax.Precision.DEFAULT}

    @jax.jit
    def multiply(a, b):
        return jnp.matmul(
            a, b, precision=products.get(precision), preferred_element_type=jnp.float32
        )

    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (size, size), dtype) for key in keys)
    return 2 * size**3 / _least_seconds(lambda: multiply(a, b), calls)


def _copy_rate(num_bytes: int, calls: int) -> float:
    """Bytes per second, read and written, of adding one to a large array where it lies."""
    import jax
    import jax.numpy as jnp

    array = jnp.zeros(num_bytes // 4, jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def call():
        nonlocal array
        array = add(array)
        return array

    return 2 * num_bytes / _least_seconds(call, calls)


def _least_seconds(call, calls: int) -> float:
    """Of one call, in the best of some turns: a ceiling is what the machine can do undisturbed."""
    call().block_until_ready()
    turns = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        for _ in range(calls):
            result = call()
        result.block_until_ready()
        turns.append((time.perf_counter() - began) / calls)
    return min(turns)


if __name__ == "__main__":
    sys.exit(main())
