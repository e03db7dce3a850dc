"""MAESTRO, and any piano recordings of its shape: audio and MIDI named by a table of splits.

The table, `maestro-v3.0.0.csv`, is part of the corpus. Its rows name a split, an audio file and a
MIDI file below its own folder; the other columns are not needed. Notes are lengthened by the
sustain pedal.
"""

import csv
import os
import re
from pathlib import Path, PurePosixPath

from cerberus_jax.outside import in_one_line, quoted, refusing
from data_pipeline.corpora.corpus import Archive, Corpus, Option
from data_pipeline.corpora.track import (
    Stem,
    Track,
    existing_root,
    first_file,
    in_order,
)
from data_pipeline.io.audio_files import named_files

MAX_NAME_BYTES = 200  # the name of a track, which becomes that of a file, is made of it
COLUMNS = ("split", "audio_filename", "midi_filename")
_MAX_SHOWN = 40  # characters of a value in a message
_TABLES = ("maestro*.csv", "*/maestro*.csv", "*.csv")  # the first of these that is there


def scan(root: str | os.PathLike, *, sustain_pedal: bool = True) -> list[Track]:
    """The recordings that the table below `root` names.

    Args:
        root: the unpacked archive, or the folder that holds it.
        sustain_pedal: lengthen notes by the pedal.

    Raises:
        FileNotFoundError: if `root` is no folder, or there is no table.
        ValueError: if there are several tables, it lacks a column, a value or all rows, or names a
            recording twice.
    """
    table = _table_of(existing_root(root))
    tracks, seen = [], set()
    for number, row in enumerate(_rows(table), 1):
        name = Path(row["audio_filename"]).with_suffix("").as_posix().replace("/", "_")
        if (row["split"], name) in seen:
            raise ValueError(
                f"{table}: row {number}: two tracks of one name and split, "
                f"{quoted(name, _MAX_SHOWN)} and {quoted(row['split'], _MAX_SHOWN)}"
            )
        seen.add((row["split"], name))
        audio = table.parent / row["audio_filename"]
        own = [*filter(Path.is_file, [audio]), *named_files(audio.parent, audio.stem)]
        notes = first_file([table.parent / row["midi_filename"]])
        if not own or notes is None:
            missing = row["midi_filename"] if own else row["audio_filename"]
            skipped = (("piano", f"no file {missing}"),)
            tracks.append(Track(name, row["split"], table.parent, (), skipped))
            continue
        audio, *others = dict.fromkeys(own)
        stem = Stem(
            *("piano", "piano", 0, False, audio, notes),
            sustain_pedal=sustain_pedal,
            other_audio=tuple(others),
        )
        tracks.append(Track(name, row["split"], table.parent, (stem,)))
    return in_order(tracks)


def _table_of(root: Path) -> Path:
    found = next(filter(None, (sorted(root.glob(pattern)) for pattern in _TABLES)), [])
    by_place = {table.resolve(): table for table in reversed(found)}  # links to one are one
    tables = sorted(by_place.values())
    if not tables:
        raise FileNotFoundError(
            f"--root={root}: no table of splits found; expected maestro-v3.0.0.csv, which is part "
            "of the corpus, with the folders of the years beside it"
        )
    if len(tables) > 1:
        names = ", ".join(str(table.relative_to(root)) for table in tables)
        raise ValueError(
            f"--root={root}: several tables of splits ({names}); name the folder of one of them"
        )
    return tables[0]


def _rows(table: Path) -> list[dict[str, str]]:
    """The rows of the table; all of COLUMNS hold something, the split a single word."""
    with refusing(table, "a table of commas and UTF-8"):
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                rows, columns = list(reader), reader.fieldnames or ()
        except csv.Error as error:
            raise ValueError(str(error)) from error
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ValueError(
            f"{table}: no column {missing[0]}; expected {', '.join(COLUMNS)}, "
            f"got {in_one_line(', '.join(columns))}"
        )
    if not rows:
        raise ValueError(f"{table}: no rows")
    for number, row in enumerate(rows, 1):
        is_split = re.fullmatch(r"[\w-]+", row["split"] or "")
        if not is_split or not all(_names_a_file(row[name]) for name in COLUMNS[1:]):
            values = ", ".join(f"{name}={quoted(row[name], _MAX_SHOWN)}" for name in COLUMNS)
            raise ValueError(
                f"{table}: row {number}: expected a split of one word and two files, got {values}"
            )
    return rows


def _names_a_file(text: str | None) -> bool:
    """Whether this can be a file below the table's folder."""
    path = PurePosixPath(text or "")
    is_inside = path.name and not path.is_absolute() and ".." not in path.parts
    return bool(is_inside and text.isprintable() and len(text.encode()) <= MAX_NAME_BYTES)


def _looks_like_maestro(root: Path) -> bool:
    return any(root.glob("maestro*.csv")) or any(root.glob("*/maestro*.csv"))


MAESTRO = Corpus(
    scan,
    options=(Option("sustain_pedal", "lengthen notes by the sustain pedal (default: yes)."),),
    archives=(
        Archive(
            "https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0.zip",
            "sha256:6680fea5be2339ea15091a249fbd70e49551246ddbd5ca50f1b2352c08c95291",
            "maestro-v3.0.0",
            growth=1.2,
        ),
    ),
    looks_like=_looks_like_maestro,
)
