"""How every command shows progress: a bar on a terminal, one line a minute in a log.

A log of a job of hours tells where the job is; work of less than a minute leaves no line in it.
"""

import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

SECONDS_PER_LINE = 60.0


class Progress:
    """Counts work and shows on stderr how much of it is done; methods are named as tqdm's.

    Args:
        iterable: its items are counted as they are taken; None where `update` is called instead.
        desc: what is being done.
        total: how much there is to do; by default the length of the iterable, if it has one.
        initial: how much of it was done before.
        unit: what is counted.
        unit_scale: count in thousands and millions of the unit.
        disable: show nothing at all.
        nested: part of work that is shown already; it gets a bar of its own but no lines.
        bar_options: further options of tqdm, for the bar alone.
    """

    def __init__(
        self,
        iterable: Iterable | None = None,
        desc: str | None = None,
        total: float | int | None = None,
        *,
        initial: float | int = 0,
        unit: str = "it",
        unit_scale: bool = False,
        disable: bool = False,
        nested: bool = False,
        **bar_options,
    ):
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)
        is_terminal = sys.stderr.isatty()
        counts = {"total": total, "initial": initial, "unit": unit, "unit_scale": unit_scale}
        self._bar = tqdm(
            desc=desc,
            disable=disable or not is_terminal,
            file=sys.stderr,
            **counts,
            **bar_options,
        )
        self._iterable, self._line, self._postfix = iterable, {"prefix": desc, **counts}, ""
        self._has_lines = not (disable or nested or is_terminal)
        self._begin = self._last_line = time.monotonic()
        self.n = initial

    def __iter__(self) -> Iterator:
        with self:
            for item in self._iterable:
                yield item
                self.update()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def update(self, n: float | int = 1) -> None:
        """Count `n` more."""
        self.n += n
        self._bar.update(n)
        now = time.monotonic()
        if self._has_lines and now - self._last_line >= SECONDS_PER_LINE:
            self._last_line = now
            line = tqdm.format_meter(
                self.n, elapsed=now - self._begin, ncols=0, postfix=self._postfix, **self._line
            )
            print(line, file=sys.stderr, flush=True)

    def set_postfix_str(self, text: str) -> None:
        """What to show behind the counts."""
        self._postfix = text
        self._bar.set_postfix_str(text)

    def write(self, text: str, file=None) -> None:
        """Print a line to `file` (default: stdout), above the bars where there are any."""
        tqdm.write(text, file=file or sys.stdout)
        (file or sys.stdout).flush()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
