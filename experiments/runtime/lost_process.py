"""One line on stderr where JAX reports the loss of a process by a page of it, and aborts.

JAX ends all processes of a run once one of them has not been heard of for a while, at once if it
was process 0. It does so in a thread of its own, where nothing can be caught. What is written to
stderr therefore goes through a small process (this file, run as a script), which passes it on and
turns such a report into a line.
"""

import ctypes
import os
import re
import signal
import sys

_MARK = "a process is lost: "
# The first lines of JAX's report, or ours in its place.
_REPORT = re.compile(
    rb"[EF]\d{4} .*\b(coordination_service\w*\.cc|client\.h):\d+\]|" + _MARK.encode()
)
_SILENT = re.compile(rb"stopped sending heartbeats\):\s*(\d[\d,\s]*)")
_NOT_ALL_CAME = b"RegisterTask"
_NO_LEADER = b"Failed to send RPC to coordination service"
_COLLECTIVES = re.compile(r"\bgloo\b|\bnccl|coordination service|\bUNAVAILABLE\b", re.IGNORECASE)


def replace_reports() -> None:
    """Have stderr of this process pass through the filter, and leave no core when JAX aborts."""
    read, write = os.pipe()
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    actions = [
        (os.POSIX_SPAWN_DUP2, read, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    # In a session of its own Ctrl-C does not reach it; it ends when this process has.
    os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)
    sys.stderr.flush()
    os.dup2(write, 2)
    for end in (read, write):
        os.close(end)
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGABRT, ctypes.cast(libc._exit, ctypes.c_void_p))


def is_report(error: BaseException) -> bool:
    """Whether an error, or what it comes from, is that of a collective without its partner."""
    while error is not None:
        if _COLLECTIVES.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def end_with_report() -> None:
    """End this process, which has met such an error, at once and with the same line."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(2, f"\n{_MARK}another\n".encode())
    os._exit(1)


def _line(report: bytes) -> bytes:
    if _NOT_ALL_CAME in report:
        return (
            b"error: --distributed: not all processes of this run came in time. Start all, or "
            b"allow them more by --start_timeout\n"
        )
    who = "another process"
    if found := _SILENT.search(report):
        numbers = re.findall(rb"\d+", found[1])
        who = f"process {b', '.join(numbers).decode()}"
    elif _NO_LEADER in report:
        who = "process 0"
    return (
        f"error: {who} of this run has ended, or cannot be reached. The same command in all "
        "processes continues from the last checkpoint\n"
    ).encode()


def _pass_on(source, sink) -> None:
    """All lines up to a report, and a line in place of it and of what follows."""
    for line in iter(source.readline, b""):
        if _REPORT.match(line):
            sink.write(_line(line + source.read()))
            sink.flush()
            return
        sink.write(line)
        sink.flush()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _pass_on(sys.stdin.buffer, sys.stderr.buffer)
