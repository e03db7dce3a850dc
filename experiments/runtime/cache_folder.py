"""The project's folder in the user's cache: embedded songs, compiled programs."""

import os
from pathlib import Path

CACHE_VARIABLE = "CERBERUS_JAX_CACHE"


def cache_folder() -> Path:
    """$CERBERUS_JAX_CACHE, or cerberus_jax in the user's cache; it need not exist."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(user_cache).expanduser() / "cerberus_jax"
