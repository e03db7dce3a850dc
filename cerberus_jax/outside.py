"""Files that others wrote: whatever their bytes, what is wrong with them becomes one short line.

Parsers answer damaged bytes with errors of many kinds, often without the name of the file, and
quote what they have met at any length. Here are the one list of these errors, the one place that
turns them into a ValueError, and the one place that cuts what is quoted.
"""

import contextlib
import lzma
import os
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator

MAX_CHARACTERS = 120  # of what is quoted from a file, or from a parser's error

# What parsers raise on damaged bytes: their own errors, and what escapes from inside of them.
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(tokenize.TokenError, SyntaxError, RuntimeError, BufferError),  # RecursionError is the third
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
)

_NOT_TELLING = (LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)


def quoted(value: object, max_characters: int = MAX_CHARACTERS) -> str:
    """A value from a file for a message: as Python writes it, printable and cut."""
    return in_one_line(repr(value), max_characters)


def in_one_line(text: str, max_characters: int = MAX_CHARACTERS) -> str:
    """A text for a message: nothing that cannot be printed, the end of a long one left out."""
    shown = text[:max_characters]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    is_whole = len(text) <= max_characters and len(shown) <= max_characters
    return shown if is_whole else f"{shown[: max_characters - 3]}..."


def reason_of(error: BaseException) -> str:
    """What an error says, in one short line; its kind too where the text alone tells little."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    is_telling = text and not isinstance(error, _NOT_TELLING)
    return in_one_line(text if is_telling else f"{type(error).__name__}: {text}".rstrip(": "))


@contextlib.contextmanager
def refusing(path: str | os.PathLike, expected: str, *, remedy: str = "") -> Iterator[None]:
    """Turns what a parser raises inside into a refusal of the file.

    Args:
        path: the file.
        expected: what it should have been, with its article: "a list of excerpts".
        remedy: what to do about it.

    Raises:
        ValueError: "PATH: not EXPECTED (REASON); REMEDY".
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:  # of the file system, not of what is in the file
            raise
        raise _refusal(path, expected, remedy, error) from error
    except DAMAGE as error:
        raise _refusal(path, expected, remedy, error) from error


def _refusal(path, expected, remedy, error) -> ValueError:
    ending = f"; {remedy}" if remedy else ""
    return ValueError(f"{path}: not {expected} ({reason_of(error)}){ending}")
