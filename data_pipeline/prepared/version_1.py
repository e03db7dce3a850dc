"""Directories prepared by the first version of this code, whose tables were a file of their own."""

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from data_pipeline.prepared.tables import Tables

_FORMER_NAMES = {"rms_hop": "cell", "rms_start": "level_start", "rms_db": "levels"}


def read_tables(path: Path) -> Tables:
    """The tables of such a directory. All its stems have labels, and no track was
    scaled: others it could not hold.

    Raises:
        ValueError: if the file is something else.
    """
    arrays = {}
    try:
        with np.load(path) as file:
            for field in fields(Tables):
                if field.name not in ("stem_is_labelled", "track_gains"):
                    arrays[field.name] = file[_FORMER_NAMES.get(field.name, field.name)]
    except (KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(
            f"{path}: not the tables of a prepared corpus ({error}); delete its folder and "
            "prepare again"
        ) from error
    for name in ("sample_rate_hz", "rms_hop"):
        arrays[name] = int(arrays[name])
    return Tables(
        **arrays,
        track_gains=np.ones(len(arrays["track_ids"]), np.float32),
        stem_is_labelled=np.ones(len(arrays["stem_ids"]), np.bool_),
    )
