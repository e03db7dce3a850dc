"""Fixtures that several test files share, and what holds for every test."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

# Before the first import of the packages, so that every jaxtyping annotation is checked. A machine
# that only runs the tests of the GPU may lack beartype.
if find_spec("beartype"):
    from jaxtyping import install_import_hook

    install_import_hook(["cerberus_jax", "data_pipeline"], "beartype.beartype")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Many tests compile the same small programs: each is compiled once, for subprocesses too.
COMPILED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Compiling takes most of the time of small networks, and less with fewer optimisations. Not so
# where there is a GPU, whose tests are of the programs as they are used.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

# A script starts its background jobs deaf to Ctrl-C, and processes inherit that: tests that send it
# need it heard, here and in the commands that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402

SAMPLES = Path(__file__).resolve().parent / "data"
LARGER_SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of genuine excerpts; its SOURCES.md says what they are."""
    return SAMPLES


@pytest.fixture(scope="session")
def larger_samples() -> Path:
    """The folder of longer genuine samples beside the checkout."""
    if not LARGER_SAMPLES.is_dir():
        pytest.skip("needs the larger samples, ../shared/samples, which are not on this machine")
    return LARGER_SAMPLES
