"""What `--version` prints: this software and what its results depend on most."""

import platform
from importlib import metadata

from cerberus_jax import __version__

_PACKAGES = ("jax", "jaxlib", "flax", "numpy")


def version_text() -> str:
    """Such as 'cerberus_jax 0.1.0 (Python 3.12.3, jax 0.12.0, jaxlib 0.12.0, ...)'.

    The packages are looked up, not imported; one that is not installed is left out.
    """
    installed = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            installed.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return f"cerberus_jax {__version__} ({', '.join(installed)})"
