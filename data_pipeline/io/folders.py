"""Files of a folder and below, links to folders followed."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_MAX_WARNINGS = 10  # of one folder


def files_below(root: str | os.PathLike, *, max_depth: int | None = None) -> Iterator[Path]:
    """All files below a folder, hidden ones left out, in an order that depends on names alone.

    Links are followed, each of several to one folder elsewhere too. A link to a folder that is here
    under its own name, or that leads back to where it comes from, adds nothing. A link to nothing
    and a folder that cannot be looked into are warnings.

    Args:
        root: the folder.
        max_depth: how many folders below it a file may lie; None: any number.
    """
    problems: list[str] = []
    yield from sorted(_walk(Path(root), max_depth, problems))
    for problem in problems[:_MAX_WARNINGS]:
        logging.warning("%s", problem)
    if len(problems) > _MAX_WARNINGS:
        logging.warning("%s: %d more such places", root, len(problems) - _MAX_WARNINGS)


def _walk(root: Path, max_depth: int | None, problems: list[str]) -> Iterator[Path]:
    """The files: first those of the tree itself, then those behind each of its links."""
    seen, links = set(), []
    yield from _files((root, 0), seen, links, max_depth, problems)
    for link in links:
        seen_here, pending = set(seen), deque([link])
        while pending:
            yield from _files(pending.popleft(), seen_here, pending, max_depth, problems)


def _files(start, seen, links, max_depth, problems) -> Iterator[Path]:
    """The files of a folder and below; folders that are links are put into `links`."""
    folders = deque([start])
    while folders:
        folder, depth = folders.popleft()
        if (place := _place(folder)) in seen:
            continue
        seen.add(place)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            problems.append(f"{folder}: left out, cannot be looked into ({error.strerror})")
            continue
        for path in entries:
            if path.name.startswith("."):  # also what archives made on a Mac hold, "._*"
                continue
            if path.is_dir():
                if max_depth is None or depth < max_depth:
                    (links if path.is_symlink() else folders).append((path, depth + 1))
            elif path.exists():
                yield path
            elif path.is_symlink():
                problems.append(f"{path}: left out, a link to nothing")


def _place(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
