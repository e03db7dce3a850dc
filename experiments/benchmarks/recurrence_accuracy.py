"""How far every path of the recurrence is from float64 on the CPU, in values and in gradients.

The reference is the scan in float64 and what JAX's autodiff makes of it, so that it shares no
hand-written backward pass with the backends. Errors are relative to the largest number of the
result. The backends run in a process of their own, the kernel last: should that hang or crash,
what came before is known.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax.lstm import BACKENDS, backends, persistent, scan
from experiments.benchmarks.ours import insist_on_path
from experiments.benchmarks.sides import environment, of_network
from experiments.benchmarks.workload import SEED, Workload

ROOT = Path(__file__).resolve().parents[2]
INTERPRETED = "persistent, interpreted"
# Interpret mode takes seconds a step; more than one block of units, not all of them full.
INTERPRETED_SIZES, INTERPRETED_STEPS = {"batch_size": 3, "hidden": 70}, 4
PRECISIONS = {"cpu": ("float32", "bfloat16"), "gpu": ("float32", "tf32", "bfloat16")}
MATMUL = {"tf32": "tensorfloat32"}


def contestants(device: str) -> list[tuple[str, str]]:
    """(path, precision) of all that there is on a device, the kernel last."""
    scans = [name for name in BACKENDS if name.endswith("scan")]
    found = [(path, precision) for precision in PRECISIONS[device] for path in scans]
    if device == "gpu":
        return [*found, ("persistent", "bfloat16")]
    if jax.__version__ in persistent.TESTED_JAX:
        found += [(INTERPRETED, precision) for precision in PRECISIONS[device]]
    return found


def errors(work: Workload, path: str, precision: str) -> dict[str, float]:
    """The largest error of hidden states ('values') and of gate inputs' gradients ('gradients').

    Raises:
        ValueError: if the path does not run here.
    """
    interpret = path == INTERPRETED
    if interpret:
        seconds = (INTERPRETED_STEPS - 1) * work.hop / work.sample_rate_hz
        path, work = "persistent", replace(work, **INTERPRETED_SIZES, seconds=seconds)
    else:
        sizes = {"batch": work.batch_size, "hidden": work.hidden}
        insist_on_path(path, **sizes, precision=of_network(precision))
    inputs, kernel, cotangent = map(jnp.asarray, arrays(work))
    forward, vjp, _ = backends.backend(path, interpret=interpret)
    settings = {"precision": of_network(precision)}

    def both(inputs, kernel, cotangent):
        hidden, residuals = forward(tuple(inputs), kernel, with_residuals=True, **settings)
        return hidden, vjp(kernel, residuals, tuple(cotangent), **settings)

    with jax.default_matmul_precision(MATMUL.get(precision, "float32")):
        run = both if interpret else jax.jit(both)  # its search for races is no part of a program
        found = run(inputs, kernel, cotangent)
    expected = reference(work)
    return {
        name: _relative_error(jnp.stack(mine), theirs)
        for name, mine, theirs in zip(("values", "gradients"), found, expected, strict=True)
    }


@functools.cache
def reference(work: Workload) -> list[np.ndarray]:
    """Hidden states and gradients of the gate inputs in float64 on the CPU, by autodiff."""

    def hidden(inputs):
        settings = {"precision": "float32", "batched": False, "with_residuals": False}
        return jnp.stack(scan.forward((inputs[0], inputs[1]), kernel, **settings)[0])

    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        inputs, kernel, cotangent = (jnp.asarray(a, jnp.float64) for a in arrays(work))
        states, transpose = jax.vjp(hidden, inputs)
        return [np.asarray(states), np.asarray(transpose(cotangent)[0])]


def arrays(work: Workload) -> tuple[np.ndarray, ...]:
    """Gate inputs, weights and a gradient from outside, for both directions, in float32."""
    rng, hidden = np.random.default_rng(SEED), work.hidden
    rows = (2, work.num_frames, work.batch_size)
    shapes = (*rows, 4 * hidden), (2, hidden, 4 * hidden), (*rows, hidden)
    inputs, kernel, cotangent = (rng.standard_normal(shape, np.float32) for shape in shapes)
    return inputs, kernel / np.float32(hidden**0.5), cotangent


def _relative_error(found, expected):
    return float(np.abs(np.asarray(found, np.float64) - expected).max() / np.abs(expected).max())


def measure(device: str, work: Workload, *, limit_seconds: float) -> Iterator[dict]:
    """'backend' and 'precision' of each contestant with its `errors`, or with an 'error'."""
    spec = json.dumps({"device": device, "work": work.__dict__})
    variables = environment(device, "bfloat16")
    variables["JAX_PLATFORMS"] = ",".join(dict.fromkeys([variables["JAX_PLATFORMS"], "cpu"]))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    call = [sys.executable, "-m", "experiments.benchmarks.recurrence_accuracy", spec]
    try:
        run = subprocess.run(
            call,
            env=os.environ | {"PYTHONPATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=limit_seconds,
        )
        lines, why = run.stdout, f"ended with code {run.returncode}: {run.stderr.strip()[-300:]}"
    except subprocess.TimeoutExpired as late:
        lines, why = (late.stdout or b"").decode(), f"silent after {limit_seconds:.0f} s"
    known = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    yield from known
    for path, precision in contestants(device)[len(known) :]:
        yield {"backend": path, "precision": precision, "error": why}


def _serve(spec: dict) -> None:
    """A line of JSON for each contestant, as soon as it is known."""
    for path, precision in contestants(spec["device"]):
        try:
            found = errors(Workload(**spec["work"]), path, precision)
        except Exception as error:  # of any kind: the others go on, and the report says which
            found = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        print(json.dumps({"backend": path, "precision": precision} | found), flush=True)


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
