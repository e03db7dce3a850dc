"""Fixtures that several test files share."""

import os
import signal
from pathlib import Path

# Before the first import of the packages, so that every jaxtyping annotation is checked.
from jaxtyping import install_import_hook

install_import_hook(["cerberus_jax", "data_pipeline"], "beartype.beartype")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Many tests compile the same small programs: each is compiled once, for subprocesses too.
COMPILED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

# A script starts its background jobs deaf to Ctrl-C, and processes inherit that: tests that send it
# need it heard, here and in the commands that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of genuine sample data beside the checkout."""
    if not SAMPLES.is_dir():
        pytest.skip("the genuine samples (../shared/samples) are not on this machine")
    return SAMPLES
