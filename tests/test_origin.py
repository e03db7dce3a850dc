"""A result says where it comes from, also where there is no repository."""

import json
import platform
import re
import subprocess

import jax

from experiments import origin as module
from experiments.config import load_config, to_json
from experiments.origin import PACKAGES, origin


def test_config_commit_and_versions():
    config = load_config("sets/set1.py")
    found = origin(config)
    assert found["config"] == json.loads(to_json(config))
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["jax"] == jax.__version__
    assert set(found["versions"]) == {"python", *PACKAGES}
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", found["commit"])


def test_without_a_repository_or_git_there_is_no_commit(monkeypatch):
    for error in (OSError("no git"), subprocess.CalledProcessError(128, "git")):

        def fails(*_, error=error, **__):
            raise error

        monkeypatch.setattr(module.subprocess, "run", fails)
        assert origin(load_config("sets/set1.py"))["commit"] == ""
