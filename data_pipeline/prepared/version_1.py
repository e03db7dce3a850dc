"""Directories prepared by the first version of this code, whose tables were a file of their own."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from cerberus_jax.outside import refusing
from data_pipeline.io.arrays import read_arrays
from data_pipeline.prepared.tables import Tables

REMEDY = "delete its folder and prepare again"
_FORMER_NAMES = {"rms_hop": "cell", "rms_start": "level_start", "rms_db": "levels"}


def read_tables(path: Path) -> Tables:
    """The tables of such a directory. All its stems have labels, and no track was
    scaled: others it could not hold.

    Raises:
        ValueError: if the file is something else.
    """
    names = {
        field.name: _FORMER_NAMES.get(field.name, field.name)
        for field in fields(Tables)
        if field.name not in ("stem_is_labelled", "track_gains")
    }
    expected = "the tables of a prepared corpus"
    stored = read_arrays(path, expected, names=names.values(), remedy=REMEDY)
    arrays = {name: stored[former] for name, former in names.items()}
    arrays["stem_is_labelled"] = np.ones(arrays["stem_ids"].shape, np.bool_)
    with refusing(path, expected, remedy=REMEDY):
        return Tables.checked(arrays)
