"""What a result says of its provenance."""

import subprocess
from importlib import metadata

from experiments.config.loading import load_config
from experiments.evaluation.provenance import provenance
from experiments.runtime import commit
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


def test_inside_the_repository_of_another_project_there_is_no_commit(tmp_path, monkeypatch):
    """As an installed package may lie, which that repository does not hold."""
    installed = tmp_path / "venv" / "commit.py"
    installed.parent.mkdir()
    installed.touch()
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(commit, "__file__", str(installed))
    assert commit.commit_of_code() == ""
