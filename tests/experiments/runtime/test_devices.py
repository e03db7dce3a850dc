"""A device that is not there is one line; so is the environment that asks for it."""

import os
import subprocess
import sys

import pytest

from experiments.config.command_line import CommandFlags, run_command
from experiments.runtime.devices import without_device
from tests import ROOT


def test_with_a_device_errors_stay_what_they_are():
    assert without_device() is None

    def broken(flags):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_command(broken, CommandFlags("x", "y"), argv=[])


@pytest.mark.parametrize("platform", ["nothing", "cuda", "rocm"])
def test_a_backend_that_is_not_there_is_one_line(tmp_path, platform):
    """No GPU is visible, so that this holds on any machine."""
    workdir = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "--config=sets/demo.py", f"--workdir={workdir}"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": platform, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and f"JAX_PLATFORMS={platform}" in errors[0]
    assert "JAX_PLATFORMS=cpu" in errors[0]
    assert "Traceback" not in done.stderr
    assert not workdir.exists()
