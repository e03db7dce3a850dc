"""What all commands share: flags with a readable --help, config fields as flags, short errors.

The flags of a command live in a FlagValues of its own rather than in absl's global one, so that one
command can call another and tests can call each as often as they like.
"""

import sys
from collections.abc import Callable, Sequence

from absl import flags

Overrides = list[tuple[str, str]]


class CommandFlags(flags.FlagValues):
    """The flags of one command.

    Args:
        usage: the command and its arguments in one line.
        description: what the command does and what it leaves on disk.
    """

    def __init__(self, usage: str, description: str):
        super().__init__()
        self.__dict__["__usage"] = usage
        self.__dict__["__description"] = description
        self.boolean("help", "Show this help.")
        self.boolean("debug", "Show the whole traceback of an error.")

    def string(self, name: str, default: str, text: str) -> None:
        """Define a flag that takes text."""
        flags.DEFINE_string(name, default, text, flag_values=self)

    def boolean(self, name: str, text: str) -> None:
        """Define a switch that is off by default."""
        flags.DEFINE_boolean(name, False, text, flag_values=self)

    def help_text(self) -> str:
        """What --help prints."""
        lines = [
            self.__dict__["__description"],
            "",
            f"usage: {self.__dict__['__usage']}",
            "",
            "flags:",
        ]
        names = [name for name in self if name not in ("help", "debug")] + ["debug", "help"]
        for name in names:
            flag = self[name]
            shown = f"--{name}" if flag.boolean else f"--{name}={name.upper()}"
            default = f" (default: {flag.default})" if flag.default and not flag.boolean else ""
            lines.append(f"  {shown}\n      {flag.help}{default}")
        return "\n".join(lines)


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
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--help" in argv or "-h" in argv or "-help" in argv:
        print(flag_values.help_text())
        return 0
    debug = "--debug" in argv
    try:
        overrides, rest = split_overrides(argv) if with_config else ([], argv)
        unused = flag_values(["command", *rest])[1:]
        if unused:
            raise ValueError(f"unexpected argument {unused[0]!r}; flags begin with --, see --help")
        command(flag_values, overrides) if with_config else command(flag_values)
    except flags.Error as error:
        print(f"error: {error} (see --help)", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{on_interrupt or 'Stopped.'}", file=sys.stderr)
        return 130
    return 0


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
                raise ValueError(f"{name} needs a value: {name}=VALUE")
            overrides.append((field, value))
        else:
            rest.append(argument)
    return overrides, rest


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split()) or type(error).__name__
