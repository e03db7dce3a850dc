"""What the rest of the code knows of a corpus: how it is scanned, read, had and recognised."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cerberus_jax.notes import Notes
from data_pipeline.corpora.track import Stem, Track, read_midi_notes


@dataclass(frozen=True)
class Archive:
    """An archive on the net.

    Args:
        url: where it is.
        checksum: its published sum, 'md5:...' or 'sha256:...'.
        folder: the folder below the root that it becomes.
        growth: size unpacked over size packed, a guess to judge the free space by.
    """

    url: str
    checksum: str
    folder: str
    growth: float = 2.0

    @property
    def name(self) -> str:
        """Its file name."""
        return re.sub(r"[?#].*", "", self.url).rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Option:
    """A keyword argument of `scan`, and a flag of `data_pipeline.prepare` of the same name.

    Args:
        name: of both.
        text: what it does and its default, for --help.
        choices: the words that it takes; without any it is a switch.
        several: it takes several of the words, separated by commas.
    """

    name: str
    text: str
    choices: tuple[str, ...] = ()
    several: bool = False


def never(root: Path) -> bool:
    """`looks_like` of a corpus that cannot be recognised."""
    del root
    return False


@dataclass(frozen=True)
class Corpus:
    """A corpus.

    Args:
        scan: called with the root of the raw tree, a Path, and the options that were given; returns
            the tracks, sorted by split and name, without reading audio or notes. Raises ValueError
            or FileNotFoundError if the root holds none.
        read_notes: the notes of a labelled stem, as its file has them. A function of a module: the
            processes that prepare import it by its name.
        options: what `scan` takes.
        archives: what can be downloaded.
        elsewhere: a sentence that says how to get the corpus otherwise.
        looks_like: whether a raw folder seems to hold this corpus.
    """

    scan: Callable[..., list[Track]]
    read_notes: Callable[[Stem], Notes] = read_midi_notes
    options: tuple[Option, ...] = ()
    archives: tuple[Archive, ...] = ()
    elsewhere: str = ""
    looks_like: Callable[[Path], bool] = never
