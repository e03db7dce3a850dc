"""A measurement in a process of its own: its answers, the reason where it fails, a sure end."""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")
SHOWN_STDERR = 2000  # characters


class ChildFailed(ValueError):
    """A process that ended with an error or did not answer in time; has its last words."""


class Child:
    """A process that answers one line of JSON at a time."""

    def __init__(self, process: subprocess.Popen, stderr):
        self._process, self._stderr = process, stderr

    def ask(self) -> None:
        """Have it go on."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: its answer tells why
            self._process.stdin.write(b"go\n")

    def answer(self, limit_seconds: float = math.inf) -> dict | None:
        """The next answer; None after the last.

        Raises:
            ChildFailed: if there is none.
        """
        wait = None if math.isinf(limit_seconds) else max(0.0, limit_seconds)
        if not select.select([self._process.stdout], [], [], wait)[0]:
            raise ChildFailed(f"silent for {limit_seconds:.0f} s: {self._last_words()}")
        if line := self._process.stdout.readline():
            return json.loads(line)
        if code := self._process.wait():
            raise ChildFailed(f"ended with code {code}: {self._last_words()}")
        return None

    def _last_words(self):
        self._stderr.seek(0)
        return self._stderr.read()[-SHOWN_STDERR:].strip() or "nothing on its stderr"


@contextlib.contextmanager
def child(
    function: str,
    arguments: dict,
    *,
    python: str = sys.executable,
    environment: Mapping[str, str] = {},
    tree: Path = ROOT,
) -> Iterator[Child]:
    """A function ('module:name', of the checkout `tree`) that yields answers, in a process, which
    ends with the `with` block at the latest. Arguments and answers are JSON values.

    Raises:
        FileNotFoundError: if there is no such Python.
    """
    spec = json.dumps({"function": function, "arguments": arguments})
    with (
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
        subprocess.Popen(
            [python, "-P", str(WORKER), spec],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,  # `select` must see all that has not been read
            env=os.environ | import_path(tree) | environment,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which ends all of them
        ) as process,
    ):
        try:
            yield Child(process, stderr)
        finally:
            with contextlib.suppress(ProcessLookupError):  # with the compilers it may have started
                os.killpg(process.pid, signal.SIGKILL)


def answers(
    function: str, *, environment: dict, limit_seconds: float = math.inf, **arguments
) -> Iterator[dict]:
    """What a function yields in a process of its own; each answer must come within the limit.

    Raises:
        ChildFailed: if it fails, after what it had yielded.
    """
    with child(function, arguments, environment=environment) as process:
        while (answer := process.answer(limit_seconds)) is not None:
            yield answer


def run_module(name: str, *options: str) -> dict:
    """Run a command of this project; `seconds`, `user` and `system` CPU seconds, `peak_mb`.

    Raises:
        ChildFailed: if it failed.
    """
    command = [sys.executable, "-m", name, *options]
    try:
        (usage,) = answers("__main__:run", environment={}, command=command)
    except ChildFailed as error:
        raise ChildFailed(f"{name} failed, {error}") from None
    return usage


def import_path(tree: Path = ROOT) -> dict[str, str]:
    """The variable with which another Python imports this project, wherever it runs."""
    folders = filter(None, [str(tree), os.environ.get("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join(folders)}
