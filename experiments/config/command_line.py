"""What the commands add to those of the data pipeline: config fields as flags.

The flags themselves, --help and the short errors are data_pipeline.cli.flags's. The fields are not
left to ml_collections.config_flags: it answers an unknown one with a traceback that ends in
AttributeError, takes `instruments=piano,bass` for one name, and accepts nan.
"""

from collections.abc import Callable, Sequence

from cerberus_jax.outside import in_one_line
from data_pipeline.cli import flags
from data_pipeline.cli.flags import CommandFlags
from experiments.runtime.devices import without_device

Overrides = list[tuple[str, str]]


def run_command(
    command: Callable[..., None],
    flag_values: CommandFlags,
    *,
    argv: Sequence[str] | None = None,
    with_config: bool = False,
    on_interrupt: str = "",
) -> int:
    """Parse the arguments, call the command and turn what it raises into one line and an exit code.

    Args:
        command: called with the flags, and with the overrides of the config where `with_config`.
        flag_values: the command's flags.
        argv: the arguments without the program's name; the process's own by default.
        with_config: accept --config.FIELD=VALUE.
        on_interrupt: what Ctrl-C prints.

    Returns:
        0, or 1 after an error, or 130 after Ctrl-C.
    """
    take = split_overrides if with_config else None

    def run(*args) -> None:
        try:
            command(*args)
        except (RuntimeError, AssertionError) as error:  # JAX raises either
            if reason := without_device():
                raise reason from error
            raise

    return flags.run_command(run, flag_values, argv=argv, take=take, on_interrupt=on_interrupt)


def split_overrides(argv: Sequence[str]) -> tuple[Overrides, list[str]]:
    """Take `--config.FIELD=VALUE` and `--config.FIELD VALUE` out of the arguments.

    Returns:
        the fields with their values as text, in order, and the other arguments.
    """
    overrides, rest = [], []
    arguments = iter(argv)
    for argument in arguments:
        name, has_value, value = argument.partition("=")
        if name.lstrip("-").startswith("config.") and name.startswith("-"):
            field = name.lstrip("-").removeprefix("config.")
            if not has_value:
                value = next(arguments, None)
            if not field or value is None or (not has_value and value.startswith("--")):
                name = in_one_line(name)
                raise ValueError(f"{name} needs a value: {name}=VALUE")
            overrides.append((field, value))
        else:
            rest.append(argument)
    return overrides, rest
