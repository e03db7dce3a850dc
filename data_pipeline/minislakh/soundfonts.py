"""Which soundfonts play: the one that comes with pretty_midi, those given, those installed."""

import filecmp
import os
from importlib.util import find_spec
from pathlib import Path

AUTO = "auto"
# Where Debian's packages and users put soundfonts.
FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "~/.local/share/soundfonts",
)
SUFFIXES = (".sf2", ".sf3")


def default_soundfont() -> str:
    """TimGM6mb.sf2, which comes inside the pretty_midi package; that is found, not imported.

    Raises:
        FileNotFoundError: if the package is not installed.
    """
    package = find_spec("pretty_midi")
    if package is None:
        raise FileNotFoundError(
            "no soundfont: the default one comes with pretty_midi, which is not installed; "
            "pip install pretty_midi, or name another by --soundfont"
        )
    return os.path.join(package.submodule_search_locations[0], "TimGM6mb.sf2")


def installed_soundfonts() -> tuple[str, ...]:
    """The soundfonts in the usual folders, each file once, by name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(Path(folder).expanduser().glob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                real = path.resolve()
                found.setdefault(real.name, str(real))
    return tuple(found[name] for name in sorted(found))


def found_soundfonts(given: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """The files meant by `given`, in which 'auto' stands for the default one and those installed.

    Of names for one file, and of files of the same content, the first is taken: a soundfont is not
    drawn twice as often because it has two names.

    Raises:
        FileNotFoundError: if the default one is needed and its package is not installed.
    """
    files = []
    for name in given or ("",):
        if name in ("", AUTO):
            files.append(default_soundfont())
        if name == AUTO:
            files += installed_soundfonts()
        elif name:
            files.append(os.path.abspath(os.path.expanduser(name)))
    found = []
    for file in files:
        if not any(_is_same(file, other) for other in found):
            found.append(file)
    return tuple(found)


def _is_same(file: str, other: str) -> bool:
    if os.path.realpath(file) == os.path.realpath(other):
        return True
    are_files = os.path.isfile(file) and os.path.isfile(other)
    return are_files and filecmp.cmp(file, other, shallow=False)
