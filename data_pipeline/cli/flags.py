"""What all commands share: flags with a readable --help, short errors, exit codes.

The flags of a command live in a FlagValues of its own rather than in absl's global one, so that one
command can call another and tests can call each as often as they like.
"""

import logging
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

from cerberus_jax.outside import in_one_line
from data_pipeline.cli.console import forgiving_output
from data_pipeline.cli.interrupts import repeated_interrupts
from data_pipeline.cli.paths import local_path
from data_pipeline.cli.version import version_text

_INDENT = dict.fromkeys(("initial_indent", "subsequent_indent"), " " * 6)
_MAX_CHARACTERS = 4000  # of an error
_LAST_IN_HELP = ("debug", "version", "help")


class CommandFlags(flags.FlagValues):
    """The flags of one command.

    Args:
        usage: the command and its arguments in one line.
        description: what the command does and what it leaves on disk.
        takes_arguments: accept files and folders besides the flags; `arguments` holds them after
            parsing.
    """

    def __init__(self, usage: str, description: str, *, takes_arguments: bool = False):
        super().__init__()
        self.set_gnu_getopt()  # flags may come after the arguments
        self.__dict__["__usage"] = usage
        self.__dict__["__description"] = description
        self.__dict__["__takes_arguments"] = takes_arguments
        self.__dict__["arguments"] = ()
        self.boolean("help", "Show this help.")
        self.boolean("version", "Show the version.")
        self.boolean("debug", "Show the whole traceback of an error.")

    def string(self, name: str, default: str, text: str) -> None:
        """Define a flag that takes text."""
        flags.DEFINE_string(name, default, text, flag_values=self)

    def path(self, name: str, default: str, text: str) -> None:
        """Define a flag that takes a file or folder; a leading ~ is the home folder."""
        flags.DEFINE(_Path(), name, default, text, flag_values=self)

    def paths(self, name: str, text: str) -> None:
        """Define a flag that may be repeated, once for each file or folder."""
        flags.DEFINE_multi(_Path(), flags.ArgumentSerializer(), name, [], text, flag_values=self)
        self[name].help = text  # to which absl had added how to repeat it

    def names(self, name: str, default: Sequence[str] | None, text: str) -> None:
        """Define a flag that takes names separated by commas."""
        flags.DEFINE_list(name, default, text, flag_values=self)

    def choice(self, name: str, default: str | None, choices: Sequence[str], text: str) -> None:
        """Define a flag that takes one of a few words."""
        flags.DEFINE_enum(name, default, list(choices), text, flag_values=self)
        self[name].help = text  # to which absl had added the choices

    def integer(
        self, name: str, default: int | None, text: str, *, lowest: int | None = None
    ) -> None:
        """Define a flag that takes a whole number."""
        flags.DEFINE_integer(name, default, text, lower_bound=lowest, flag_values=self)

    def number(
        self,
        name: str,
        default: float | int,
        text: str,
        *,
        lowest: float | int | None = None,
        highest: float | int | None = None,
    ) -> None:
        """Define a flag that takes a number."""
        bounds = {"lower_bound": lowest, "upper_bound": highest}
        flags.DEFINE_float(name, default, text, **bounds, flag_values=self)

    def boolean(self, name: str, text: str, *, default: bool | None = False) -> None:
        """Define a switch; `--noNAME` turns one off that is on or undecided (None) by default."""
        flags.DEFINE_boolean(name, default, text, flag_values=self)

    def help_text(self) -> str:
        """What --help prints."""
        lines = [
            self.__dict__["__description"],
            "",
            f"usage: {self.__dict__['__usage']}",
            "",
            "flags:",
        ]
        names = [name for name in self if name not in _LAST_IN_HELP]
        for name in [*names, *_LAST_IN_HELP]:
            flag = self[name]
            lines.append(f"  {_shown(flag)}")
            lines += textwrap.wrap(f"{flag.help}{_default(flag)}", 96, **_INDENT)
        return "\n".join(lines)

    def parse(self, argv: Sequence[str]) -> None:
        """Set the flags from the arguments of a command, without the program's name.

        Raises:
            flags.Error: if a flag does not exist or has a wrong value.
            ValueError: on an argument that is no flag, where the command takes none.
        """
        end = argv.index("--") if "--" in argv else len(argv)
        argv = [*(self._spelled(argument) for argument in argv[:end]), *argv[end:]]
        arguments = tuple(self(["command", *argv])[1:])
        if arguments and not self.__dict__["__takes_arguments"]:
            raise ValueError(
                f"unexpected argument {arguments[0]!r}; flags begin with --, see --help"
            )
        self.__dict__["arguments"] = tuple(map(local_path, arguments))

    def _spelled(self, argument: str) -> str:
        """The argument with absl's spelling of its flag: --no-page is --nopage, --data-root is
        --data_root."""
        name, sign, value = argument.partition("=")
        name = name.replace("-", "_")
        if not name.startswith("__") or name == "__":
            return argument
        name = name[2:]
        positive = name.removeprefix("no_")
        if name not in self and positive in self and self[positive].boolean:
            name = f"no{positive}"
        return f"--{name}{sign}{value}"


class _Path(flags.ArgumentParser):
    """A local one; shells leave the ~ of --out=~/songs as it is."""

    syntactic_help = "a file or folder"

    def parse(self, argument: str) -> str:
        return local_path(argument)

    def flag_type(self) -> str:
        return "path"


def _shown(flag: flags.Flag) -> str:
    """How a flag is written on the command line."""
    if flag.boolean:
        return f"--{'' if flag.default is False else '[no]'}{flag.name}"
    values = getattr(flag.parser, "enum_values", None)
    return f"--{flag.name}={'|'.join(values) if values else flag.name.upper()}"


def _default(flag: flags.Flag) -> str:
    value = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
    if flag.boolean:
        return " (default: on)" if value else ""
    return "" if value in (None, "") else f" (default: {value})"


def run_command(
    command: Callable[..., None],
    flag_values: CommandFlags,
    *,
    argv: Sequence[str] | None = None,
    take: Callable[[Sequence[str]], tuple[object, list[str]]] | None = None,
    on_interrupt: str = "",
) -> int:
    """Parse the arguments, call the command and turn what it raises into one line and an exit code.

    Args:
        command: called with the flags, and with what `take` took.
        flag_values: the command's flags.
        argv: the arguments without the program's name; the process's own by default.
        take: takes arguments that are no flags; returns them in its own form, and the others.
        on_interrupt: what Ctrl-C prints.

    Returns:
        0, or 1 after an error, or 130 after Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        with forgiving_output():
            return _call(command, flag_values, argv, take, on_interrupt)
    except OSError as error:  # of the output itself
        print(f"error: {_one_line(error)}: what was printed", file=sys.stderr)
        return 1


def _call(command, flag_values, argv, take, on_interrupt) -> int:
    if "--help" in argv or "-h" in argv or "-help" in argv:
        print(flag_values.help_text())
        return 0
    if "--version" in argv:
        print(version_text())
        return 0
    debug = "--debug" in argv
    logging.basicConfig(format="warning: %(message)s", level=logging.WARNING)
    try:
        taken, rest = take(argv) if take else (None, argv)
        flag_values.parse(rest)
        with repeated_interrupts():
            command(flag_values, taken) if take else command(flag_values)
    except flags.Error as error:
        print(f"error: {_one_line(error)} (see --help)", file=sys.stderr)
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


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return in_one_line(f"{error.strerror}: {error.filename}", _MAX_CHARACTERS)
    return in_one_line(" ".join(str(error).split()), _MAX_CHARACTERS) or type(error).__name__
