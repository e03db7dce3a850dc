"""The provenance of a result: the config, the commit of the code, the versions it ran on."""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from ml_collections import ConfigDict

from experiments.config.loading import to_json

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "mir_eval")


def provenance(config: ConfigDict) -> dict:
    """`config`, `commit` and `versions` as results.json holds them."""
    return {"config": json.loads(to_json(config)), "commit": _commit(), "versions": _versions()}


def _commit() -> str:
    """The commit of the code, with + where it was changed since; '' outside a repository."""
    folder = Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in PACKAGES
    }
