"""Fixtures that several test files share."""

import os
from pathlib import Path

# Before the first import of the packages, so that every jaxtyping annotation is checked.
from jaxtyping import install_import_hook

install_import_hook(["cerberus_jax", "data_pipeline"], "beartype.beartype")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest  # noqa: E402

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of genuine sample data beside the checkout."""
    if not SAMPLES.is_dir():
        pytest.skip("the genuine samples (../shared/samples) are not on this machine")
    return SAMPLES
