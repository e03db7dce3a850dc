"""What a reader may do with any bytes: read them, or refuse them in a line that names the file."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests import ROOT

MAX_CHARACTERS = 300
REFUSALS = (ValueError, FileNotFoundError)

Reader = Callable[[Path], object]


class Finding(NamedTuple):
    """What a reader may not do, and where in this project it happened."""

    what: str
    place: str


def finding(reader: Reader, path: Path, *, named: str | None = None) -> Finding | None:
    """What is wrong with how the reader takes the file; None if nothing is.

    Args:
        reader: called with the path.
        path: the file.
        named: what a refusal must name; None for the name of the file.
    """
    try:
        reader(path)
    except REFUSALS as error:
        complaint = _complaint(str(error), path.parent, path.name if named is None else named)
        return Finding(complaint, _place(error)) if complaint else None
    except Exception as error:
        return Finding(f"{type(error).__name__} escapes", _place(error))
    return None


def _complaint(message: str, folder: Path, named: str) -> str:
    if named not in message:
        return "a refusal that does not name the file"
    if len(message.replace(str(folder), "")) > MAX_CHARACTERS:
        return "a refusal of many characters"
    if not message.isprintable():
        return "a refusal that cannot be printed in one line"
    return ""


def _place(error: BaseException) -> str:
    """The last line of this project's own code that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [Path(frame.filename) for frame in frames]
    lines = [
        f"{path.relative_to(ROOT).as_posix()}:{frame.lineno}"
        for path, frame in zip(own, frames, strict=True)
        if path.is_relative_to(ROOT) and "site-packages" not in path.parts
    ]
    return lines[-1] if lines else "outside of the project"
