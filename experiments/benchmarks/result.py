"""The one form of all benchmark results: JSON for programs, a Markdown table for readers."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from experiments.benchmarks import machine as machines
from experiments.config.command_line import CommandFlags
from experiments.evaluation.markdown import markdown_table


@dataclass
class Result:
    """What a benchmark has measured.

    Args:
        benchmark: its name.
        machine: from machine.describe or machine.measure.
        columns: {heading: (key of a row, format)}: what the table shows, where any row has it.
        config: the sizes and settings that all rows share.
        rows: JSON values by key; None is shown as nothing.
        notes: sentences under the table.
    """

    benchmark: str
    machine: dict
    columns: dict[str, tuple[str, str]]
    config: dict = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Machine, table and notes."""
        filled = {key for row in self.rows for key, value in row.items() if value is not None}
        columns = {name: key for name, key in self.columns.items() if key[0] in filled}
        cells = [
            [
                "" if row.get(key) is None else format(row[key], form)
                for key, form in columns.values()
            ]
            for row in self.rows
        ]
        lines = [f"{self.benchmark}: {machines.words(self.machine)}", ""]
        lines += [markdown_table(list(columns), cells), ""] if columns else []
        return "\n".join(lines + [f"* {note}" for note in self.notes]).rstrip()

    def save(self, out: str) -> None:
        """Write OUT as JSON and the table beside it as .md, also while more is to come: whatever
        ends a benchmark then does not take away what it has measured."""
        if out:
            path = Path(out)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(self), indent=1) + "\n")
            path.with_suffix(".md").write_text(self.markdown() + "\n")

    def finish(self, out: str) -> None:
        """Print the table, and write the files that were asked for."""
        print(self.markdown())
        self.save(out)


def add_out_flag(flags: CommandFlags) -> None:
    """The flag that every benchmark has."""
    flags.path("out", "", "JSON file that gets the figures; the table goes beside it as .md.")
