"""A run in several processes: its flags, and how a process joins the others."""

from experiments.config.command_line import CommandFlags


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
    if not flags.coordinator.rpartition(":")[2].isdecimal():
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


def join(arguments: dict) -> None:
    """Wait for the other processes; their devices are JAX's from here on.

    Raises:
        ValueError: if nothing says which process this is.
    """
    import jax

    try:
        jax.distributed.initialize(**arguments)
    except ValueError as error:
        raise ValueError(
            f"--distributed: JAX finds no cluster here ({error}); say which process this is by "
            "--coordinator=HOST:PORT and --process=K/N"
        ) from None
