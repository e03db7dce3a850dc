"""The tables of a prepared corpus: read from its records, and kept beside them for numpy alone.

The file of the tables begins a second start sooner and lets machines train that have no
tensorflow_datasets. It holds the checksum of the records that it was made of, and is made anew when
these are others. Times of files play no part, so a copied or moved folder keeps it.
"""

import functools
import logging
import zlib
from pathlib import Path

import numpy as np

from cerberus_jax.outside import DAMAGE, refusing
from data_pipeline.io.arrays import read_arrays
from data_pipeline.io.files import whole_file
from data_pipeline.prepared import version_1
from data_pipeline.prepared.layout import FIRST_VERSION, RECORDS, RECORDS_INFO, TABLES
from data_pipeline.prepared.tables import Tables

_CHECKSUM = "records"
_CHUNK = 1 << 22
_READERS = ("tensorflow_datasets", "array_record")


def load_tables(folder: Path) -> Tables:
    """The tables of a prepared corpus.

    Args:
        folder: OUT/<corpus>/<version>.

    Raises:
        ValueError: if the records are damaged, or cannot be read without another package.
    """
    path = folder / TABLES
    if folder.name == FIRST_VERSION:
        return version_1.read_tables(path)
    checksum = checksum_of_records(folder)
    tables = kept_tables(path, checksum)
    if tables is None:
        tables = _read_records(folder)
        _write_file(path, tables, checksum)
    return tables


def checksum_of_records(folder: Path) -> str:
    """A code of the names, sizes and contents of the records and of what TFDS says about them."""
    code = 0
    for path in sorted([folder / RECORDS_INFO, *folder.glob(RECORDS)]):
        code = zlib.crc32(f"{path.name} {path.stat().st_size}".encode(), code)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                code = zlib.crc32(chunk, code)
    return f"{code:08x}"


def kept_tables(path: Path, checksum: str) -> Tables | None:
    """The tables in the file; None if there is none, or it is of other records, or damaged."""
    try:
        stored = read_arrays(path, "tables")
        if str(stored.pop(_CHECKSUM, "")) == checksum:
            return Tables.checked(stored)
    except (OSError, *DAMAGE):
        return None
    return None


def _write_file(path: Path, tables: Tables, checksum: str) -> None:
    try:
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(tables), **{_CHECKSUM: np.array(checksum)})
    except OSError as error:
        _warn_once(
            f"{path} cannot be written ({error.strerror or error}): every start reads the records"
        )


@functools.cache
def _warn_once(message: str) -> None:
    logging.warning("%s", message)


def _read_records(folder: Path) -> Tables:
    try:
        from data_pipeline.prepared.records import read_records
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _READERS:
            raise
        raise ValueError(
            f"{folder}: {TABLES} is missing or was made of other records, and {error.name}, which "
            "reads the records, is not installed; pip install tensorflow-datasets array-record, or "
            f"copy {TABLES} from a machine where this folder has been used"
        ) from error
    with refusing(folder, "the records of tracks", remedy="delete it and prepare again"):
        return Tables.of_records(read_records(folder))
