"""A prepared directory as a whole: its corpora, their PCM files, the tables over all of them."""

import logging
import mmap
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from cerberus_jax.notes import Notes
from data_pipeline.prepared.layout import PCM, RECORDS_INFO, VERSION, named, prepared_folder
from data_pipeline.prepared.report import load_uuids
from data_pipeline.prepared.same_songs import check_splits, how_to_split, songs_of_tables
from data_pipeline.prepared.tables import Tables
from data_pipeline.prepared.tables_cache import load_tables

_MAP_NORESERVE = 0x4000  # Linux; Python's mmap names it from 3.13 on


@dataclass(frozen=True)
class Catalogue:
    """A prepared directory: its corpora, their PCM files, and the tables over all of them."""

    root: Path
    corpora: tuple[str, ...]
    pcm_paths: tuple[Path, ...]
    tables: Tables

    @classmethod
    def load(cls, root: str | os.PathLike) -> "Catalogue":
        """Read what `data_pipeline.prepare` wrote to `--out=root` (or one of its corpus folders).

        Raises:
            FileNotFoundError: if there is no such folder.
            ValueError: if it is not prepared, in which case the message holds the command that
                prepares it, or two corpora have a song in common, in different splits.
        """
        root = named(Path(root))
        if not root.is_dir():
            raise FileNotFoundError(f"data.root={root}: no such folder; {_hint(None, root)}")
        homes = [root] if prepared_folder(root) else sorted(root.iterdir())
        folders = {home: prepared_folder(home) for home in homes if prepared_folder(home)}
        _check_unfinished(root, folders)
        if not folders:
            raise ValueError(
                f"data.root={root}: not a prepared directory (no "
                f"<corpus>/{VERSION}/{RECORDS_INFO}); "
                f"{_hint(root, root.with_name(root.name + '_prepared'))}"
            )
        names = tuple(home.name for home in folders)
        paths = tuple(folder / PCM for folder in folders.values())
        tables = [load_tables(folder) for folder in folders.values()]
        for path, of_corpus in zip(paths, tables, strict=True):
            _check_size(path, of_corpus)
        if len(tables) > 1:
            _check_songs(folders, tables)
        return cls(root, names, paths, Tables.joined(tables))

    @property
    def version(self) -> str:
        """The version of the layout; where corpora differ in it, the oldest."""
        return min(path.parent.name for path in self.pcm_paths)

    @property
    def splits(self) -> list[str]:
        """Names of the splits present."""
        return sorted(set(self.tables.track_splits.tolist()))

    def pcm(self) -> list[Int16[np.ndarray, " _"]]:
        """The PCM of each corpus, memory-mapped (copy on write, so that it can be exported)."""
        return [_map(path) for path in self.pcm_paths]

    def notes(self, stem: int) -> Notes:
        """All notes of one stem."""
        t = self.tables
        rows = slice(t.note_start[stem], t.note_start[stem + 1])
        intervals = np.stack([t.onsets[rows], t.offsets[rows]], axis=1)
        return Notes(intervals, t.pitches[rows], t.velocities[rows])


def _check_unfinished(root: Path, folders: dict[Path, Path]) -> None:
    """An error if nothing but unfinished corpora is there, a warning if some are beside others."""
    unfinished = sorted({part.parent for part in root.glob("*/part-*")} - folders.keys())
    if unfinished and not folders:
        raise ValueError(
            f"data.root={root}: preparing {unfinished[0].name} has not been finished; "
            "give its command again, it goes on from there"
        )
    for home in unfinished:
        logging.warning(
            "data.root=%s: preparing %s has not been finished; it is left out", root, home.name
        )


def _check_songs(folders: dict[Path, Path], tables: list[Tables]) -> None:
    corpora = [
        songs_of_tables(home.name, of_corpus, load_uuids(folder))
        for (home, folder), of_corpus in zip(folders.items(), tables, strict=True)
    ]
    *_, last = folders
    check_splits(corpora, f"delete {last} and {how_to_split(last.name)}")


def _check_size(path: Path, tables: Tables) -> None:
    lengths = tables.track_num_samples[tables.stem_tracks]
    expected = 2 * int((tables.stem_pcm_start + lengths).max(initial=0))
    size = path.stat().st_size if path.is_file() else 0
    if size != expected:
        raise ValueError(
            f"{path}: expected {expected} bytes, got {size}; delete {path.parents[1]} "
            "and prepare again"
        )


def _map(path: Path) -> Int16[np.ndarray, " n"]:
    """Like np.memmap(mode="c"), which Linux refuses for files larger than the memory."""
    # Nothing is ever written to the map, so no memory has to be set aside for copies of its pages.
    flags = mmap.MAP_PRIVATE | (_MAP_NORESERVE if sys.platform == "linux" else 0)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(mapped, np.int16)


def _hint(root: Path | None, out: Path) -> str:
    # Imported where it is needed: the corpora's readers are no part of training.
    from data_pipeline.corpora.guess import prepare_hint

    return prepare_hint(root, out)
