"""How far every backend of the recurrence is from float64 on the CPU, in values and in gradients.

Compared is with the scan in float64 and what JAX's autodiff makes of it, which shares no
hand-written backward pass with the backends. Errors are relative to the largest number of the
result. The backends run in a process of their own, the kernel last: should that hang or crash,
what came before is known.
"""

import functools
from collections.abc import Iterator
from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np

from cerberus_jax.lstm import BACKENDS, EXPERIMENTAL, backends, scan
from experiments.benchmarks.child import ChildFailed, answers
from experiments.benchmarks.machine import PRECISIONS
from experiments.benchmarks.ours import insist_on_backend
from experiments.benchmarks.sides import environment, of_network
from experiments.benchmarks.workload import SEED, Workload

MATMUL = {"tf32": "tensorfloat32"}
KINDS = ("values", "gradients")


def contestants(device: str) -> list[tuple[str, str]]:
    """(backend, precision) of all that there is on a device, the kernel last."""
    scans = [name for name in BACKENDS if name.endswith("scan")]
    pairs = [(name, precision) for precision in PRECISIONS[device] for name in scans]
    return [*pairs, (EXPERIMENTAL, "bfloat16")] if device == "gpu" else pairs


def measure(device: str, work: Workload, *, limit_seconds: float) -> Iterator[dict]:
    """'backend' and 'precision' of each contestant with its `errors`, or with an 'error'; what
    ends the process is the error of all that it leaves out."""
    variables = environment(device, "bfloat16")
    variables["JAX_PLATFORMS"] = ",".join(dict.fromkeys([variables["JAX_PLATFORMS"], "cpu"]))
    left = contestants(device)
    run = {"environment": variables, "limit_seconds": limit_seconds, "work": asdict(work)}
    try:
        for answer in answers(f"{__name__}:all_errors", device=device, **run):
            left.pop(0)
            yield answer
    except ChildFailed as error:
        for name, precision in left:
            yield {"backend": name, "precision": precision, "error": str(error)}


def all_errors(device: str, work: dict) -> Iterator[dict]:
    """What `measure` gives, each as soon as it is known."""
    for name, precision in contestants(device):
        try:
            answer = errors(Workload(**work), name, precision)
        except Exception as error:  # of any kind: the others go on, and the report says which
            answer = {"error": f"{type(error).__name__}: {error}"}
        yield {"backend": name, "precision": precision} | answer


def errors(work: Workload, name: str, precision: str) -> dict[str, float]:
    """The largest error of hidden states ('values') and of gate inputs' gradients ('gradients').

    Raises:
        ValueError: if the backend does not run here.
    """
    settings = {"precision": of_network(precision)}
    insist_on_backend(name, batch=work.batch_size, hidden=work.hidden, **settings)
    inputs, kernel, cotangent = map(jnp.asarray, arrays(work))
    forward, vjp, _ = backends.backend(name)

    @jax.jit
    def both(inputs, kernel, cotangent):
        hidden, residuals = forward(tuple(inputs), kernel, with_residuals=True, **settings)
        return hidden, vjp(kernel, residuals, tuple(cotangent), **settings)

    with jax.default_matmul_precision(MATMUL.get(precision, "float32")):
        results = both(inputs, kernel, cotangent)
    answer = {}
    for kind, result, expected in zip(KINDS, results, in_float64(work), strict=True):
        distance = np.abs(np.asarray(jnp.stack(result), np.float64) - expected).max()
        answer[kind] = float(distance / np.abs(expected).max())
    return answer


@functools.cache
def in_float64(work: Workload) -> list[np.ndarray]:
    """Hidden states and gradients of the gate inputs in float64 on the CPU, by autodiff."""

    def hidden(inputs):
        settings = {"precision": "float32", "batched": False, "with_residuals": False}
        return jnp.stack(scan.forward((inputs[0], inputs[1]), kernel, **settings)[0])

    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        inputs, kernel, cotangent = (jnp.asarray(a, jnp.float64) for a in arrays(work))
        states, vjp = jax.vjp(hidden, inputs)
        return [np.asarray(states), np.asarray(vjp(cotangent)[0])]


def arrays(work: Workload) -> tuple[np.ndarray, ...]:
    """Gate inputs, weights and a gradient from outside, for both directions, in float32."""
    rng, hidden = np.random.default_rng(SEED), work.hidden
    rows = (2, work.num_frames, work.batch_size)
    shapes = (*rows, 4 * hidden), (2, hidden, 4 * hidden), (*rows, hidden)
    inputs, kernel, cotangent = (rng.standard_normal(shape, np.float32) for shape in shapes)
    return inputs, kernel / np.float32(hidden**0.5), cotangent
