"""What a result says of where it comes from."""

import subprocess
from importlib import metadata

from experiments.config.loading import load_config
from experiments.evaluation import provenance
from tests import ROOT


def test_config_commit_and_versions():
    found = provenance.origin(load_config("sets/demo.py", []))
    assert found["config"]["batch_size"] == 8
    assert found["versions"]["jax"] == metadata.version("jax")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert found["commit"].removesuffix("+") == head.stdout.strip()


def test_outside_a_repository_there_is_no_commit(monkeypatch):
    def fail(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance.origin(load_config("sets/demo.py", []))["commit"] == ""
