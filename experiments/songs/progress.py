"""Progress over songs, counted in seconds of music: a bar of files would lie about long ones."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from data_pipeline.cli.console import printable
from data_pipeline.cli.progress import Progress
from data_pipeline.io.audio_stream import audio_info

_BAR = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"


class SongProgress:
    """Progress of the song that is being separated and, where there are several, of them all."""

    def __init__(self, songs: Iterable[Path]):
        self._seconds = dict.fromkeys(songs, 0.0)
        for song in songs:
            with contextlib.suppress(ValueError, OSError):  # said when it is separated
                self._seconds[song] = audio_info(song, warn=False).seconds
        self._seconds_before = 0.0

    def __enter__(self) -> "SongProgress":
        total, has_several = sum(self._seconds.values()), len(self._seconds) > 1
        self._all_songs = _progress("all songs", total, disable=not has_several)
        return self

    def __exit__(self, *_):
        self._all_songs.close()

    @contextlib.contextmanager
    def song(self, song: Path) -> Iterator[Callable[[float], None]]:
        """Yields what is to be called with the seconds just done; a failed song counts as done."""
        is_one_of_several = len(self._seconds) > 1
        try:
            with _progress(song.name, self._seconds[song], nested=is_one_of_several) as progress:

                def advance(seconds: float) -> None:
                    progress.update(seconds)
                    self._all_songs.update(seconds)

                yield advance
        finally:
            self._seconds_before += self._seconds[song]
            self._all_songs.update(self._seconds_before - self._all_songs.n)

    def write(self, text: str, file=None) -> None:
        """Print a line to `file` (default: stdout), above the bars."""
        self._all_songs.write(printable(text), file)


def _progress(name: str, seconds: float, **options: bool) -> Progress:
    scale = {"unit": "s", "unit_scale": True}
    return Progress(
        desc=printable(name), total=seconds, **scale, **options, leave=False, bar_format=_BAR
    )
