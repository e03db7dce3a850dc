"""What a result says of its provenance."""

import subprocess
from importlib import metadata

from experiments.config.loading import load_config
from experiments.evaluation.provenance import provenance
from tests import ROOT


def test_config_commit_and_versions():
    fields = provenance(load_config("sets/demo.py", []))
    assert fields["config"]["batch_size"] == 8
    assert fields["versions"]["jax"] == metadata.version("jax")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert fields["commit"].removesuffix("+") == head.stdout.strip()


def test_outside_a_repository_there_is_no_commit(monkeypatch):
    def fail(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance(load_config("sets/demo.py", []))["commit"] == ""
