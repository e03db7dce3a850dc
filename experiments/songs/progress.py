"""Progress over songs, counted in seconds of music: a bar of files would lie about long ones."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from data_pipeline.io.audio_stream import audio_info


def printable(text: str) -> str:
    """The text without the bytes of a file name that are no UTF-8: those become '?'."""
    return text.encode("utf-8", "replace").decode("utf-8")


class SongProgress:
    """Bars that count seconds of music: one for the song, one for all where there are several."""

    def __init__(self, songs: Iterable[Path]):
        self._seconds = dict.fromkeys(songs, 0.0)
        for song in songs:
            with contextlib.suppress(ValueError, OSError):  # said when its turn comes
                self._seconds[song] = audio_info(song).seconds
        self._total, self._done = sum(self._seconds.values()), 0.0

    def __enter__(self) -> "SongProgress":
        self._all = self._bar("all songs", self._total, position=0, wanted=len(self._seconds) > 1)
        return self

    def __exit__(self, *_):
        self._all.close()

    @contextlib.contextmanager
    def song(self, song: Path) -> Iterator[Callable[[float], None]]:
        """Yields what is to be called with the seconds just done; a failed song counts as done."""
        try:
            with self._bar(song.name, self._seconds[song], position=1) as bar:

                def advance(seconds):
                    bar.update(seconds)
                    self._all.update(seconds)

                yield advance
        finally:
            self._done += self._seconds[song]
            self._all.update(self._done - self._all.n)

    def say(self, text: str, file=None) -> None:
        """Print a line above the bars."""
        tqdm.write(printable(text), file=file or sys.stdout)
        (file or sys.stdout).flush()

    def _bar(self, name, total, *, position, wanted=True):
        return tqdm(
            total=round(total, 1),
            desc=printable(name),
            position=position,
            disable=None if wanted else True,
            leave=False,
            file=sys.stderr,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s "
            "[{elapsed}<{remaining}]",
        )
