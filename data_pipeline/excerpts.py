"""Writes a list of excerpts as a file, so that others can evaluate on the very same mixtures.

    python -m data_pipeline.excerpts --data=PREPARED --split=test --instruments=piano,guitar \
        --count=1000 --seconds=10 --out=excerpts.json
"""

import sys

from data_pipeline.cli.flags import CommandFlags, run_command
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.flags import add_plan_flags, planner_of_flags


def main(argv: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    return run_command(_list, _flags(), argv=argv)


def _flags() -> CommandFlags:
    flags = CommandFlags(
        "python -m data_pipeline.excerpts --data=DIR --out=FILE [--count=1000]",
        "Write a list of fixed excerpts, on which others can evaluate too.",
    )
    add_plan_flags(flags)
    flags.integer("count", 1000, "Number of excerpts.", lowest=1)
    flags.path("out", "", "File to write.")
    return flags


def _list(flags: CommandFlags) -> None:
    if not flags.out:
        raise ValueError("--out=FILE is needed, see --help")
    ExcerptList.of(planner_of_flags(flags), flags.count).save(flags.out)
    print(
        f"{flags.out}: {flags.count} excerpts; score a run on them with experiments.evaluate "
        f"--workdir=DIR --excerpt_list={flags.out}"
    )


if __name__ == "__main__":
    sys.exit(main())
