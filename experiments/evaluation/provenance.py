"""The provenance of a result: the config, the commit of the code, the versions it ran on."""

import json
import platform
from importlib import metadata

from ml_collections import ConfigDict

from experiments.config.loading import to_json
from experiments.runtime.commit import commit_of_code

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "mir_eval")


def provenance(config: ConfigDict) -> dict:
    """`config`, `commit` and `versions` as results.json holds them."""
    return {
        "config": json.loads(to_json(config)),
        "commit": commit_of_code(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in PACKAGES
    }
