"""A network's architecture as JSON: what a checkpoint says of itself.

The version rises when a field changes its meaning; fields that an older version did not write have
their defaults.
"""

import re
from collections.abc import Mapping
from dataclasses import fields

from cerberus_jax.decoding_config import DecodingConfig
from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads import transcribes
from cerberus_jax.json_files import OrNull, check_form
from cerberus_jax.model import Cerberus, check_arguments
from cerberus_jax.outside import quoted

METADATA_VERSION = 2
_MODEL_FIELDS = (
    "layers",
    "hidden",
    "dropout",
    "embedding_dim",
    "embedding_activation",
    "mask_activation",
    "input_scaling",
    "precision",
    "trunk_name",
)
_FORM = {
    "grid": {"sample_rate_hz": float, "window": int, "hop": int},
    "instruments": [str],
    "transcribed?": OrNull([str]),
    "heads": [str],
    "layers?": int,
    "hidden?": int,
    "dropout?": float,
    "embedding_dim?": int,
    **dict.fromkeys(("embedding_activation?", "mask_activation?", "precision?"), str),
    "input_scaling": str,
    "trunk_name?": str,
    "options?": {str: {str: object}},
}
DECODING_FORM = {f"{field.name}?": field.type for field in fields(DecodingConfig)}
# So that a damaged file does not ask for a network that no machine holds.
_LARGEST = {"layers": 256, "hidden": 1 << 16, "embedding_dim": 1 << 12}
_LARGEST_WINDOW = 1 << 20


def check_version(version: int) -> None:
    """Refuse what a newer version of this package wrote.

    Raises:
        ValueError: if it is none that this one knows.
    """
    if not 1 <= version <= METADATA_VERSION:
        known = f"1 to {METADATA_VERSION}"
        raise ValueError(f"version: {known} expected, got {version}; it takes a newer cerberus_jax")


def metadata_of(model: Cerberus, decoding: dict) -> dict:
    """What a checkpoint says of itself: version, architecture, note thresholds by instrument."""
    return {
        "version": METADATA_VERSION,
        "model": model_to_json(model),
        "decoding": decoding,
    }


def model_to_json(model: Cerberus) -> dict:
    """The architecture as plain JSON values."""
    grid = model.grid
    return {
        "grid": {"sample_rate_hz": grid.sample_rate_hz, "window": grid.window, "hop": grid.hop},
        "instruments": list(model.instruments),
        "transcribed": None if model.transcribed is None else list(model.transcribed),
        "heads": list(model.heads),
        **{name: getattr(model, name) for name in _MODEL_FIELDS},
        "options": {name: dict(values) for name, values in model.options.items()},
    }


def model_from_json(values: Mapping) -> Cerberus:
    """The inverse of model_to_json; what an older version did not write has its default.

    Raises:
        ValueError: naming the field, if the values describe no network of this version.
    """
    check_form(values, _FORM)
    values = dict(values)
    if unknown := sorted({name for name in values if f"{name}?" not in _FORM} - {*_FORM}):
        raise ValueError(f"unknown fields {quoted(unknown)}")
    for name, largest in _LARGEST.items():
        if not 1 <= values.get(name, 1) <= largest:
            raise ValueError(f"{name}: 1 to {largest} expected, got {values[name]}")
    grid, transcribed = values.pop("grid"), values.pop("transcribed", None)
    if not 1 <= grid["window"] <= _LARGEST_WINDOW:
        raise ValueError(f"window: 1 to {_LARGEST_WINDOW} expected, got {grid['window']}")
    for name in ("instruments", "heads"):
        values[name] = tuple(values[name])
    _check_names(values["instruments"], transcribed)
    values["input_scaling"] = values["input_scaling"].replace("clip_db", "excerpt_db")
    model = Cerberus(
        grid=FrameGrid(**{name: grid[name] for name in ("sample_rate_hz", "window", "hop")}),
        transcribed=None if transcribed is None else tuple(transcribed),
        **values,
    )
    check_arguments(model)
    return model


def decoding_from_json(values: Mapping, model: Cerberus) -> dict[str, DecodingConfig]:
    """How the rolls of a network become notes, by instrument.

    Raises:
        ValueError: if a transcribed instrument is missing, or a value is not allowed.
    """
    needed = model.transcribed_instruments if transcribes(model.heads) else ()
    check_form(values, {str: DECODING_FORM})
    if missing := [name for name in needed if name not in values]:
        raise ValueError(f"decoding: {missing[0]} is missing")
    return {name: DecodingConfig.from_json(own) for name, own in values.items()}


def _check_names(instruments, transcribed):
    for name in instruments:
        if not re.fullmatch(r"[\w-]+", name):  # it becomes the name of a file
            raise ValueError(f"instruments: names of letters expected, got {quoted(name)}")
    if not instruments or len(set(instruments)) < len(instruments):
        raise ValueError(f"instruments: one or more, each once, got {quoted(instruments)}")
    if unknown := set(transcribed or ()) - {*instruments}:
        raise ValueError(f"transcribed: some of the instruments, got {quoted(sorted(unknown))}")
