"""A network's architecture as JSON: what a checkpoint says of itself.

The version rises when a field changes its meaning; fields that an older version did not write have
their defaults.
"""

from cerberus_jax.frames import FrameGrid
from cerberus_jax.model import Cerberus

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


def model_from_json(values: dict) -> Cerberus:
    """The inverse of model_to_json; what an older version did not write has its default."""
    values = dict(values)
    grid, transcribed = FrameGrid(**values.pop("grid")), values.pop("transcribed", None)
    for name in ("instruments", "heads"):
        values[name] = tuple(values[name])
    values["input_scaling"] = values["input_scaling"].replace("clip_db", "excerpt_db")
    return Cerberus(
        grid=grid,
        transcribed=None if transcribed is None else tuple(transcribed),
        **values,
    )
