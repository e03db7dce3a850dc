"""Output that never ends a command: odd names on any console, and readers that leave early."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator


def printable(text: str) -> str:
    """Text that any file of UTF-8 can hold.

    The bytes of a file name that are no UTF-8 become, for instance, \\udce9: what Python makes of
    such a byte, spelled out, so that names which differ still do.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def forgiving_output() -> Iterator[None]:
    """In the block, what is printed cannot end the command.

    What the console's encoding lacks is spelled out (\\xe9). Where nobody reads any more, as in
    `| head -1`, the work goes on and its output goes nowhere.

    Raises:
        OSError: at the end, if what was printed cannot be written, for instance to a full disk.
    """
    streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, _Output(stream))
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            _finish(streams)
        raise
    else:
        _finish(streams)
    finally:
        for name, stream in streams.items():
            setattr(sys, name, stream)


def _finish(names) -> None:
    for name in names:
        getattr(sys, name).finish()


class _Output:
    """A stream that may lose its reader, or have none at all (None); otherwise as it is."""

    def __init__(self, stream: io.TextIOBase | None):
        self._stream = io.StringIO() if stream is None else stream

    def write(self, text: str) -> int:
        with self._without_a_reader():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._without_a_reader():
            self._stream.flush()

    def finish(self) -> None:
        """Write what is still held; what cannot be written must not be tried again at the exit."""
        try:
            self.flush()
        except OSError:
            self._discard()
            raise

    @contextlib.contextmanager
    def _without_a_reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._discard()

    def _discard(self) -> None:
        """Send what is held, and all that follows, nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)
