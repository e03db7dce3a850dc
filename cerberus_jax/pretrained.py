"""The networks that come with the package: files in the folder `networks`, by name."""

from pathlib import Path

from cerberus_jax.network_file import ENDING

__all__ = ["DEFAULT", "ENDING", "names", "network_path"]

FOLDER = Path(__file__).parent / "networks"
DEFAULT = "wide"


def names() -> tuple[str, ...]:
    """Of the networks in the package, the one that is used by default first."""
    found = sorted(path.stem for path in FOLDER.glob(f"*{ENDING}"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def network_path(name: str = DEFAULT) -> Path:
    """The file of a network in the package, or the file that `name` itself says.

    Raises:
        ValueError: if it is neither a name nor ends like such a file.
    """
    if name in names():
        return FOLDER / f"{name}{ENDING}"
    if name.endswith(ENDING):
        return Path(name).expanduser()
    raise ValueError(f"pretrained: {choices()} expected, got {name!r}")


def choices() -> str:
    """What may be given, for messages: the networks of the package, if any, and files."""
    of_package = f"one of {', '.join(names())}, or " if names() else ""
    return f"{of_package}a file that ends in {ENDING}"
