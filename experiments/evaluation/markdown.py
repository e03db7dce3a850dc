"""Tables in Markdown, for results that are printed, kept in files and pasted into documents."""

from collections.abc import Iterable, Sequence


def markdown_row(cells: Iterable[object]) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def markdown_table(headings: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Headings, the line under them, and a line for each row of cells."""
    return "\n".join(
        [markdown_row(headings), markdown_row(["---"] * len(headings)), *map(markdown_row, rows)]
    )
