"""Points of a sweep that end because their values are not finite: reported, and set apart."""

import json
import logging
from pathlib import Path

from ml_collections import ConfigDict

from cerberus_jax.json_files import read_json
from data_pipeline.io.files import whole_file

DIVERGED_FILE = "diverged.json"
_FORM = {"message": str, "skip_nonfinite": int}


def set_apart(workdir: Path, config: ConfigDict, error: ValueError) -> None:
    """Say what happened, there and on the terminal."""
    content = {"message": str(error), "skip_nonfinite": config.train.skip_nonfinite}
    with whole_file(workdir / DIVERGED_FILE) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")
    logging.warning("%s is set apart: %s", workdir.name, error)


def why_apart(workdir: Path, config: ConfigDict) -> str:
    """Why a point is set apart; '' where it is not. It is tried again where the file is removed, or
    another number of updates may be left out."""
    file = workdir / DIVERGED_FILE
    if not file.is_file():
        return ""
    found = read_json(file, "why a point of a sweep has ended", _FORM, remedy="remove it")
    is_same = found["skip_nonfinite"] == config.train.skip_nonfinite
    return found["message"] if is_same else ""
