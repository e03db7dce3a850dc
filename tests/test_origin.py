"""What a result says of where it comes from."""

import subprocess
from importlib import metadata
from pathlib import Path

from experiments import origin
from experiments.config import load_config


def test_config_commit_and_versions():
    found = origin.origin(load_config("sets/demo.py", []))
    assert found["config"]["batch_size"] == 8
    assert found["versions"]["jax"] == metadata.version("jax")
    root = Path(__file__).resolve().parents[1]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    assert found["commit"].removesuffix("+") == head.stdout.strip()


def test_outside_a_repository_there_is_no_commit(monkeypatch):
    def fail(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert origin.origin(load_config("sets/demo.py", []))["commit"] == ""
