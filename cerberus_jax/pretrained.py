"""The networks that come with the package: files in the folder `networks`, by name."""

from pathlib import Path

from cerberus_jax.network_file import ENDING

__all__ = ["DEFAULT", "ENDING", "names", "network_path", "network_source"]

FOLDER = Path(__file__).parent / "networks"
DEFAULT = "wide"


def names() -> tuple[str, ...]:
    """Of the networks in the package, the one that is used by default first."""
    found = sorted(path.stem for path in FOLDER.glob(f"*{ENDING}"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def network_path(name: str = "") -> Path:
    """The file of a network in the package, by default its first, or the file that `name` is.

    Raises:
        ValueError: if it is neither a name nor ends like such a file.
    """
    file = _file_of(name or next(iter(names()), ""))
    if file is None:
        raise ValueError(f"pretrained: {choices()} expected, got {name!r}")
    return file


def network_source(source: str, *, flag: str) -> Path:
    """What `source` names: the directory of a run, or the file of a network.

    Raises:
        ValueError: naming `flag`, if it is neither.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    file = _file_of(source)
    if file is None:
        raise ValueError(
            f"{flag}: the directory of a run, or {choices()}, expected, got {source!r}"
        )
    return file


def _file_of(name: str) -> Path | None:
    if name in names():
        return FOLDER / f"{name}{ENDING}"
    return Path(name).expanduser() if name.endswith(ENDING) else None


def choices() -> str:
    """What may be given, for messages: the networks of the package, if any, and files."""
    of_package = f"one of {', '.join(names())}, or " if names() else ""
    return f"{of_package}a file that ends in {ENDING}"
