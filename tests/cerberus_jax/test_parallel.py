"""The step on several (simulated) devices, and the refusals that need only one."""

import json
import os
import subprocess
import sys

import jax
import pytest

from cerberus_jax.parallel import check_batch_size, make_mesh, make_step
from tests import ROOT
from tests.tiny_network import tiny_task


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The figures of parallel_checks.py; devices must be simulated before JAX starts."""
    folder = tmp_path_factory.mktemp("checkpoint")
    result = subprocess.run(
        [sys.executable, "-m", "tests.parallel_checks", str(folder)],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.fail(result.stderr[-3000:])
    return json.loads(result.stdout.splitlines()[-1])


def test_jit_gives_the_same_update_on_1_2_and_4_devices_dropout_included(found):
    assert max(found["jit"]) < 1e-6
    assert found["dropout_matters"] > 1e-4


def test_pmap_gives_the_same_update_without_dropout_also_in_parts(found):
    assert max(found["pmap"]) < 1e-6


def test_a_batch_in_parts_gives_the_same_update_on_4_devices_dropout_included(found):
    assert found["parts"] < 1e-6


def test_nothing_of_the_size_of_a_batch_is_gathered(found):
    one, four, in_parts = found["compiled"]
    assert four["all_gathers"] == in_parts["all_gathers"] == 0
    # A quarter of the work, and the optimiser, which every device does for itself.
    assert four["flops"] < 0.5 * one["flops"]


def test_evaluation_is_the_same_on_four_devices(found):
    assert found["evaluation"] < 1e-6


def test_a_checkpoint_of_four_devices_restores_on_one(found):
    assert found["checkpoint"] == 0


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match=r"by the 4 devices, got 6; .*--config.batch_size=8"):
        check_batch_size(6, 4)
    check_batch_size(8, 4)


def test_unknown_spelling():
    with pytest.raises(ValueError, match=r"parallel: one of .* got 'ddp'"):
        make_step(tiny_task(), make_mesh(), parallel="ddp")


def test_pmap_refuses_several_processes(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="'pmap' works in one process"):
        make_step(tiny_task(), make_mesh(), parallel="pmap")
