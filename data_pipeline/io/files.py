"""Files that are whole or not there, and places that can be written to."""

import contextlib
import errno
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

MAX_NAME_BYTES = 255  # of one file or folder, on all common file systems


def fitting_name(name: str, suffix: str = "") -> str:
    """NAME + SUFFIX, cut to what a file system takes; names that differ stay different.

    A name that is cut ends in a checksum of the whole of it.
    """
    encoded, end = os.fsencode(name), os.fsencode(suffix)
    if len(encoded) + len(end) <= MAX_NAME_BYTES:
        return name + suffix
    code = f"~{zlib.crc32(encoded):08x}"
    start = encoded[: MAX_NAME_BYTES - len(end) - len(code)]
    whole_characters = start.decode("utf-8", "ignore").encode()
    return os.fsdecode(whole_characters) + code + suffix


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it if the block ends well and removed if not.

    So that a reader, or a second run after a crash or a power failure, never meets half a file.

    Raises:
        OSError: what the block or the renaming raised; without a file name (as on a full disk) it
            gets that of `path`.
    """
    path = Path(path)
    temporary = path.with_name(fitting_name(f".{path.name}", f".{os.getpid()}.tmp"))
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None:
            raise
        number, reason = error.errno or errno.EIO, error.strerror or str(error)
        raise OSError(number, reason, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: str | os.PathLike) -> None:
    """Wait until the content of a file is on the disk, before the file gets its final name.

    The name may else be there first, and the content be lost with the power.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def check_writable(folder: str | os.PathLike) -> None:
    """Meet a full or read-only place before hours are spent on what should go there.

    Raises:
        OSError: if no file can be written into `folder`; names it.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        reason = f"no file can be written here ({error.strerror})"
        raise OSError(error.errno, reason, str(folder)) from error
