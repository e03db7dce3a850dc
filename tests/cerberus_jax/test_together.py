"""Points of a sweep on one batch, beside the same points alone: in 64 bits, on two devices."""

import json
import os
import subprocess
import sys

import pytest

from cerberus_jax.together import filled, part_of
from cerberus_jax.train_state import OptimizerConfig, TrainState
from tests import ROOT


@pytest.fixture(scope="module")
def found():
    """The figures of together_checks.py in float64; devices must be simulated before JAX starts."""
    flags = "--xla_force_host_platform_device_count=2 --xla_cpu_multi_thread_eigen=false"
    result = subprocess.run(
        [sys.executable, "-m", "tests.together_checks", "float64", "4,6"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.fail(result.stderr[-3000:])
    return json.loads(result.stdout.splitlines()[-1])


def test_fifty_steps_together_are_those_alone_for_each_of_the_seven(found):
    """In turn, by two threads, and stacked, over two devices; each with a seed and a rate of its
    own."""
    assert [own["way"] for own in found] == ["in turn"] * 2 + ["stacked"] * 7
    for own in found:
        assert own["type"] == "float64" and own["names"]
        assert max(own["params"], own["moments"], own["metrics"]) < 1e-9


def test_the_part_of_a_state_that_a_network_with_fewer_heads_has():
    params = {"trunk": {"w": 1.0}, "mask_head": {"w": 2.0}, "embedding_head": {"w": 3.0}}
    whole = TrainState.create(params, OptimizerConfig(average_decay=0.9))
    part = part_of(whole, ("mask_inference",))
    for own in (part.params, part.average, part.opt_state[1].mu, part.opt_state[1].nu):
        assert set(own) == {"trunk", "mask_head"}
    part = part.replace(step=7, params={"trunk": {"w": 5.0}, "mask_head": {"w": 6.0}})
    again = filled(whole, part)
    assert again.step == 7
    assert again.params == {
        "trunk": {"w": 5.0},
        "mask_head": {"w": 6.0},
        "embedding_head": {"w": 3.0},
    }
