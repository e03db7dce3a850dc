"""Who races: this project and PyTorch, on a device, at a precision."""

import os
import subprocess

from experiments.benchmarks.machine import ENVIRONMENT
from experiments.benchmarks.race import Side
from experiments.runtime.huge_pages import huge_pages, on_request_only

PEER = "experiments.benchmarks.peer:make"
OURS = "experiments.benchmarks.ours:make"
# What a float32 array is multiplied in by default: TensorFloat-32 on a GPU, in both frameworks
# where PyTorch is told so.
FULL_PRECISION = {"cpu": "float32", "gpu": "tf32"}


def ours(
    name: str, settings: dict, *, precision: str, device: str, large_pages: bool = True
) -> Side:
    """A side of this project; `settings` as in ours.make.

    `large_pages`: as experiments.run takes them on a CPU, while `separate` does not. (PyTorch is
    not faster with them.)
    """
    variables = environment(device, precision)
    if large_pages and device == "cpu" and on_request_only():
        variables |= huge_pages(os.environ)
    return Side(
        name,
        OURS,
        {"precision": of_network(precision), **settings},
        precision=precision,
        environment=variables,
    )


def of_network(precision: str) -> str:
    """The network's setting for a precision."""
    return "bfloat16" if precision == "bfloat16" else "float32"


def environment(device: str, precision: str) -> dict[str, str]:
    """Variables of a process that runs JAX on a device; they say what a float32 product is."""
    products = {"tf32": "tensorfloat32", "float32": "float32"}.get(precision)
    if device == "cpu" or not products:
        return dict(ENVIRONMENT[device])
    return ENVIRONMENT[device] | {"JAX_DEFAULT_MATMUL_PRECISION": products}


def peer(form: str, *variants: str, precision: str, device: str, python: str) -> Side:
    """A side of PyTorch; `variants` as in peer.VARIANTS, beside those that the precision asks."""
    own = {"float32": (), "tf32": ("tf32",), "bfloat16": ("bf16",)}[precision]
    settings = {"device": device, "variants": [*variants, *own]}
    return Side(peer_name(form), PEER, settings, precision=precision, python=python)


def peer_name(form: str) -> str:
    """What the side of a form is called."""
    return f"PyTorch {form}"


def is_peer(side: Side) -> bool:
    """Whether a side is PyTorch's."""
    return side.factory == PEER


def torch_version(python: str) -> str | None:
    """The version of PyTorch in this Python; None where it has none.

    Raises:
        ValueError: if that is no Python.
    """
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
