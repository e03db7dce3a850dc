"""The tables of a prepared directory: every stem, its notes, its levels, where its PCM lies.

Plain numpy, read from one `.npz` per corpus that lies beside the TFDS records and says the same, so
that training needs no TensorFlow. Tables over stems point into flat arrays by `[start[i], start[i +
1])`.
"""

import logging
import mmap
import os
import sys
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float64, Int16, Int32, Int64

from cerberus_jax.notes import Notes
from data_pipeline.io.files import whole_file

VERSION = "1.0.0"
# Stems begin at multiples of this in a PCM file, and so do windows in a stem: TensorFlow takes a
# piece of an array without a copy where it begins at a multiple of 64 bytes.
ALIGNED_SAMPLES = 32
SIDECAR = "catalogue.npz"
PCM = "pcm.int16"
_MAP_NORESERVE = 0x4000  # Linux; Python's mmap names it from 3.13 on


@dataclass(frozen=True, eq=False)
class Tables:
    """The arrays of a catalogue, k tracks and s stems; stems are sorted by track.

    Args:
        sample_rate_hz: of all PCM.
        cell: samples per level cell.
        track_ids: names of the tracks.
        track_splits: their splits.
        track_corpora: index into the names of the corpora.
        track_num_samples: their lengths.
        stem_tracks: track of each stem.
        stem_ids: names within the track.
        stem_instruments: classes.
        stem_programs: program numbers as the corpus gives them.
        stem_is_drum: whether it is a drum kit.
        stem_pcm_start: first sample in the PCM file of its corpus.
        level_start: pointers into `levels`.
        levels: dB of each cell.
        note_start: pointers into the four arrays of notes.
        onsets: seconds.
        offsets: seconds.
        pitches: MIDI numbers, all within the 88 keys.
        velocities: 1 to 127.
    """

    sample_rate_hz: int
    cell: int
    track_ids: np.ndarray
    track_splits: np.ndarray
    track_corpora: Int32[np.ndarray, " k"]
    track_num_samples: Int64[np.ndarray, " k"]
    stem_tracks: Int32[np.ndarray, " s"]
    stem_ids: np.ndarray
    stem_instruments: np.ndarray
    stem_programs: Int32[np.ndarray, " s"]
    stem_is_drum: Bool[np.ndarray, " s"]
    stem_pcm_start: Int64[np.ndarray, " s"]
    level_start: Int64[np.ndarray, " s_plus_1"]
    levels: Float16[np.ndarray, " cells"]
    note_start: Int64[np.ndarray, " s_plus_1"]
    onsets: Float64[np.ndarray, " notes"]
    offsets: Float64[np.ndarray, " notes"]
    pitches: Int16[np.ndarray, " notes"]
    velocities: Int16[np.ndarray, " notes"]

    def save(self, path: str | os.PathLike) -> None:
        """Write all arrays as one `.npz`."""
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Tables":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is something else.
        """
        try:
            with np.load(path) as file:
                arrays = {field.name: file[field.name] for field in fields(cls)}
        except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise ValueError(
                f"{path}: not a catalogue of a prepared corpus ({error}); delete its folder and "
                "prepare again"
            ) from error
        for name in ("sample_rate_hz", "cell"):
            arrays[name] = int(arrays[name])
        return cls(**arrays)

    @classmethod
    def joined(cls, many: list["Tables"]) -> "Tables":
        """Several corpora as one, in order; `track_corpora` says which.

        Raises:
            ValueError: if their sample rates differ.
        """
        rates = sorted({(one.sample_rate_hz, one.cell) for one in many})
        if len(rates) != 1:
            raise ValueError(
                f"the corpora of one directory must share one sample rate, got {rates}"
            )
        result = {"sample_rate_hz": rates[0][0], "cell": rates[0][1]}
        for field in fields(cls)[2:]:
            arrays = [getattr(one, field.name) for one in many]
            if field.name == "track_corpora":
                arrays = [np.full(len(a), i, np.int32) for i, a in enumerate(arrays)]
            elif field.name == "stem_tracks":
                before = np.cumsum([0] + [len(one.track_ids) for one in many])
                arrays = [(a + b).astype(np.int32) for a, b in zip(arrays, before, strict=False)]
            elif field.name in ("level_start", "note_start"):
                before = np.cumsum([0] + [a[-1] for a in arrays])
                arrays = [a[:-1] + b for a, b in zip(arrays, before, strict=False)] + [before[-1:]]
            result[field.name] = np.concatenate(arrays)
        return cls(**result)


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
            ValueError: if it is not prepared; the message holds the command that prepares it.
        """
        root = Path(root)
        if not root.is_dir():
            raise FileNotFoundError(f"data.root={root}: no such folder; {_hint(None, root)}")
        folders = [root] if (root / VERSION / SIDECAR).is_file() else sorted(root.iterdir())
        folders = [folder for folder in folders if (folder / VERSION / SIDECAR).is_file()]
        unfinished = sorted(root.glob("*/part-*"))
        if not folders and unfinished:
            raise ValueError(
                f"data.root={root}: preparing {unfinished[0].parent.name} has not been finished; "
                "give its command again, it goes on from there"
            )
        for part in unfinished:
            if part.parent not in folders:
                logging.warning(
                    "data.root=%s: preparing %s has not been finished; it is left out",
                    root,
                    part.parent.name,
                )
        if not folders:
            raise ValueError(
                f"data.root={root}: not a prepared directory (no <corpus>/{VERSION}/{SIDECAR}); "
                f"{_hint(root, root.with_name(root.name + '_prepared'))}"
            )
        found = [Tables.load(folder / VERSION / SIDECAR) for folder in folders]
        paths = tuple(folder / VERSION / PCM for folder in folders)
        for path, tables in zip(paths, found, strict=True):
            lengths = tables.track_num_samples[tables.stem_tracks]
            expected = 2 * int((tables.stem_pcm_start + lengths).max(initial=0))
            size = path.stat().st_size if path.is_file() else 0
            if size != expected:
                raise ValueError(
                    f"{path}: expected {expected} bytes, found {size}; delete {path.parents[1]} "
                    "and prepare again"
                )
        names = tuple(folder.name for folder in folders)
        return cls(root, names, paths, Tables.joined(found))

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
