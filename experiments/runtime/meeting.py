"""The processes of a run find each other, before JAX connects them.

JAX would abort a process that waits in vain for another, and crash where the port is taken. Here
process 0 listens at that port first: the others tell it which they are, and get its answer, one
line, once all have come or cannot come any more.
"""

import contextlib
import json
import socket
import time

_SECONDS_BETWEEN_TRIES = 0.2
_SECONDS_TO_SPEAK = 5.0
_MAX_BYTES = 4096  # of a line


def meet(address: str, *, process: int, count: int, seconds: float) -> None:
    """Wait until all processes are there.

    Args:
        address: HOST:PORT of process 0.
        process: which this is.
        count: of how many.
        seconds: how long to wait.

    Raises:
        ValueError: in all that came, if some did not come, if two say that they are the same, or
            if they expect different numbers of processes.
        OSError: if process 0 cannot listen at the port.
    """
    host, _, port = address.rpartition(":")
    until = time.monotonic() + seconds
    if process == 0:
        _listen(address, int(port), count, until, seconds)
    else:
        _join(host.strip("[]"), int(port), process, count, until, seconds)


def _listen(address, port, count, until, seconds):
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"--coordinator={address}: process 0 cannot listen at this port "
            f"({getattr(error, 'strerror', None) or error}); give all processes another"
        ) from None
    with server, contextlib.ExitStack() as stack:
        came, problem = {}, ""
        while not problem and len(came := _still_there(came)) < count - 1:
            server.settimeout(max(until - time.monotonic(), 0.001))
            try:
                connection = server.accept()[0]
            except TimeoutError:
                problem = _missing(address, sorted([0, *came]), count, seconds)
                break
            stack.enter_context(connection)
            said = _read(connection)
            if (known := _numbers(said)) is None:
                continue  # somebody else
            problem = _problem(*known, _still_there(came), count)
            came[known[0]] = connection
        for connection in came.values():
            with contextlib.suppress(OSError):  # it has ended since
                _write(connection, {"problem": problem})
        for connection in came.values():  # who closes first keeps the port for a while: not here
            _read(connection)
        if problem:
            raise ValueError(problem)


def _join(host, port, process, count, until, seconds):
    answer = None
    while answer is None and time.monotonic() < until:
        try:
            with socket.create_connection((host, port), timeout=_SECONDS_TO_SPEAK) as connection:
                _write(connection, {"process": process, "count": count})
                answer = _read(connection, max(until - time.monotonic(), 0) + _SECONDS_TO_SPEAK)
        except OSError:  # it is not there yet
            pass
        if answer is None:
            time.sleep(_SECONDS_BETWEEN_TRIES)
    if answer is None:
        raise ValueError(
            f"--coordinator={host}:{port}: process 0 did not answer there for {seconds:g} s; it "
            "must be started too, and its host be reachable from here"
        )
    if not isinstance(answer, dict) or "problem" not in answer:
        raise ValueError(f"--coordinator={host}:{port}: what answers there is no process of a run")
    if answer["problem"]:
        raise ValueError(answer["problem"])


def _numbers(said) -> tuple[int, int] | None:
    """Which process of how many says this; None where it is no process of a run."""
    numbers = [said.get(name) for name in ("process", "count")] if isinstance(said, dict) else []
    return tuple(numbers) if numbers and all(type(n) is int for n in numbers) else None


def _problem(number, expected, came, count) -> str:
    if expected != count:
        return f"--process: process 0 is one of {count} processes, process {number} of {expected}"
    if number == 0 or number in came:
        return f"--process: two processes say that they are {number}/{count}; each needs its own"
    return ""


def _missing(address, came, count, seconds) -> str:
    missing = ", ".join(str(number) for number in range(count) if number not in came)
    return (
        f"--coordinator={address}: {len(came)} of {count} processes came within {seconds:g} s; "
        f"missing: {missing}. Start all, or allow them more by --start_timeout"
    )


def _still_there(came):
    """Those whose process has not ended since, perhaps to be started again."""
    return {number: connection for number, connection in came.items() if _is_open(connection)}


def _is_open(connection) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _write(connection, value):
    connection.settimeout(_SECONDS_TO_SPEAK)

    connection.sendall(json.dumps(value).encode() + b"\n")


def _read(connection, seconds=_SECONDS_TO_SPEAK):
    """What the other says: None where it has gone or is silent, its text where that is no JSON."""
    connection.settimeout(seconds)
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) < _MAX_BYTES:
            if not (part := connection.recv(_MAX_BYTES)):
                return None
            line += part
        return json.loads(line)
    except OSError:
        return None
    except ValueError:
        return str(line[:80])
