"""The flag that makes XLA deterministic on GPUs, in time or refused."""

import os

import jax
import pytest

from experiments.runtime.deterministic import FLAG, compute_deterministically
from experiments.train import train
from tests.tiny_training import tiny_config


def test_the_flag_is_added_to_those_that_are_there_once(monkeypatch):
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    for _ in range(2):
        compute_deterministically()
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=here {FLAG}"


def test_when_devices_have_started_it_is_refused_unless_the_flag_was_there(monkeypatch, tmp_path):
    jax.devices()
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    with pytest.raises(ValueError, match=r"train\.deterministic: .*set XLA_FLAGS=--xla_gpu_det"):
        train(tiny_config(train__deterministic=1), [], workdir=tmp_path / "run")
    assert "XLA_FLAGS" not in os.environ
    monkeypatch.setenv("XLA_FLAGS", FLAG)
    compute_deterministically()
