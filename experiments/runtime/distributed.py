"""A run in several processes: its flags, how a process joins the others, and how it leaves them."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from experiments.config.command_line import CommandFlags
from experiments.config.loading import flatten
from experiments.runtime import lost_process
from experiments.runtime.meeting import meet

_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_SECONDS_TO_FAIL_TOGETHER = 5.0


def add_flags(flags: CommandFlags) -> None:
    """Flags that say that this is one of several processes, and which."""
    flags.boolean(
        "distributed",
        "This is one of several processes of a run, which all have the same --workdir. A cluster "
        "that JAX knows (SLURM, Open MPI, Kubernetes, Cloud TPU) says which one; elsewhere "
        "--coordinator and --process do.",
    )
    flags.string("coordinator", "", "HOST:PORT of process 0, where the others can reach it.")
    flags.string("process", "", "Which of how many processes this is, e.g. 0/2 and 1/2.")
    flags.integer(
        "start_timeout", 300, "Seconds for all processes to come when they start.", lowest=1
    )
    flags.integer(
        "heartbeat_timeout",
        60,
        "Seconds after which a process that is not heard of counts as lost, and the others end.",
        lowest=1,
    )


def arguments(flags: CommandFlags) -> dict:
    """Arguments of jax.distributed.initialize; empty where a cluster has to say them.

    Raises:
        ValueError: if a flag is malformed, or one is given without the others.
    """
    if not (flags.coordinator or flags.process):
        return {}
    if not (flags.distributed and flags.coordinator and flags.process):
        raise ValueError(
            "--distributed, --coordinator and --process belong together, e.g. --distributed "
            "--coordinator=localhost:9876 --process=0/2"
        )
    host, _, port = flags.coordinator.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(f"--coordinator: HOST:PORT expected, got {flags.coordinator!r}")
    number, _, count = flags.process.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise ValueError(
            f"--process: K/N with K from 0 to N-1 expected, e.g. 0/2, got {flags.process!r}"
        )
    return {
        "coordinator_address": flags.coordinator,
        "num_processes": int(count),
        "process_id": int(number),
    }


def join(flags: CommandFlags) -> None:
    """Wait for the other processes; their devices are JAX's from here on.

    Raises:
        ValueError: if nothing says which process this is, or not all of them come.
    """
    import jax

    known = arguments(flags)
    if known:
        meet(
            known["coordinator_address"],
            process=known["process_id"],
            count=known["num_processes"],
            seconds=flags.start_timeout,
        )
    lost_process.replace_reports()
    # Its only use would be to tell of signals, which the training loop does, and it prints.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            **known,
            initialization_timeout=flags.start_timeout,
            heartbeat_timeout_seconds=flags.heartbeat_timeout,
            shutdown_timeout_seconds=flags.heartbeat_timeout,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise ValueError(
            f"--distributed: JAX finds no cluster here ({_missing(error)}); say which process this "
            "is by --coordinator=HOST:PORT and --process=K/N"
        ) from None


def _missing(error: BaseException) -> str:
    """What a cluster should have said and did not."""
    missing = [name for name in _SLURM if name not in os.environ]
    if 0 < len(missing) < len(_SLURM):
        return f"SLURM without {', '.join(missing)}: start the command by srun"
    if "should be defined" in str(error) or "must be defined" in str(error):
        return "no variables of SLURM, Open MPI, Kubernetes or Cloud TPU"
    return str(error)


def is_first() -> bool:
    """Whether this process is the one that prints, writes and computes what needs one alone."""
    import jax

    return jax.process_index() == 0


def check_same_config(config: ConfigDict) -> None:
    """Refuse processes that were started with different configs.

    Raises:
        ValueError: in all processes; names the first that differs from process 0, and the fields.
    """
    from cerberus_jax.processes import exchange

    texts = exchange("config", json.dumps(flatten(config)))
    first, *others = map(json.loads, texts or ["{}"])
    for number, other in enumerate(others, start=1):
        differing = [
            f"{field}: {first[field]!r} in process 0, {other[field]!r} in process {number}"
            for field in first
            if first[field] != other[field]
        ]
        if differing:
            raise ValueError(f"config: {'; '.join(differing)}; give all processes the same values")


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """In the block, an error that says no more than that another process has ended ends this one,
    with a line that says so."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        if is_several() and lost_process.is_report(error):
            lost_process.end_with_report()
        raise


def is_several() -> bool:
    """Whether this process has joined others."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def leaving(command: Callable[[], int]) -> int:
    """Call a command that may join other processes, and part from them when it ends.

    After an error the others may be waiting for this process in the middle of a step, so that it
    does not wait for them; JAX's own way to part would.

    Args:
        command: gives its exit code.

    Returns:
        the largest exit code of all processes.
    """
    try:
        code = command()
    except BaseException:
        if not is_several():
            raise
        sys.excepthook(*sys.exc_info())
        code = 1
    return _leave(code) if is_several() else code


def _leave(code: int) -> int:
    import jax

    from cerberus_jax.processes import exchange

    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if code:  # which has been said, and is why others may be lost
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    codes = exchange("end", str(code), seconds=_SECONDS_TO_FAIL_TOGETHER if code else None)
    if codes is None:
        os._exit(code or 1)
    jax.distributed.shutdown()
    return max(map(int, codes))
