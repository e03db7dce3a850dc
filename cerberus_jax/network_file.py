"""A trained network in one small file: weights in half precision, and all that it takes to use it.

The arrays are kept by safetensors. Its header holds, as JSON, the architecture, the note
thresholds, checksums, and where the network comes from. Heads that only help to train are left out.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cerberus_jax.architecture import (
    check_version,
    decoding_from_json,
    metadata_of,
    model_from_json,
)
from cerberus_jax.heads import HEADS
from cerberus_jax.json_files import check_form, parse_json
from cerberus_jax.model import Cerberus
from cerberus_jax.outside import refusing
from cerberus_jax.parameter_shapes import by_name, differences, parameter_shapes, shorten

ENDING = ".safetensors"
_HEADER, _CHECKSUM = "cerberus_jax", "checksum"
_FORM = {
    "version": int,
    "model": {},
    "decoding": {},
    "checksums": {str: int},
    "about": {str: object},
}
_USED = ("masks", "rolls", "onsets")
"""What a song is separated and transcribed by; heads that give something else are left out."""


def network_bytes(
    model: Cerberus,
    params: dict,
    decoding: Mapping[str, Mapping],
    *,
    about: Mapping[str, object],
) -> bytes:
    """What the file of a network holds.

    Args:
        model, params: the network.
        decoding: how each instrument's roll becomes notes, as JSON.
        about: where the network comes from: data, licences, seeds; JSON values.

    Raises:
        ValueError: if no head is left, or a weight is not finite in half precision.
    """
    model, params = without_training_heads(model, params)
    arrays = {name: _halved(name, np.asarray(array)) for name, array in by_name(params).items()}
    header = metadata_of(model, {name: dict(own) for name, own in decoding.items()}) | {
        "checksums": {name: _checksum(array) for name, array in arrays.items()},
        "about": dict(about),
    }
    text = json.dumps(header)
    return save(arrays, metadata={_HEADER: text, _CHECKSUM: str(zlib.crc32(text.encode()))})


def load_network(path: str | os.PathLike) -> tuple[Cerberus, dict, dict]:
    """The network of a file: model, parameters in single precision, and what the header says.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or holds no network of this version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of a network")
    with refusing(path, "a network saved by python -m experiments.export"):
        header, arrays = _read(path)
        check_version(header["version"])
        model = model_from_json(header["model"])
        decoding_from_json(header["decoding"], model)
        shapes = parameter_shapes(model)
        if found := differences(arrays, shapes):
            raise ValueError(f"the arrays are of another network: {shorten(found)}")
        for name, array in arrays.items():
            if header["checksums"].get(name) != _checksum(array) or array.dtype != np.float16:
                raise ValueError(f"{name}: not as saved")
    values = [arrays[name].astype(like.dtype) for name, like in by_name(shapes).items()]
    return model, jax.tree.unflatten(jax.tree.structure(shapes), values), header


def without_training_heads(model: Cerberus, params: dict) -> tuple[Cerberus, dict]:
    """The network with the heads alone that a song is separated and transcribed by.

    Raises:
        ValueError: if there are none.
    """
    kept = tuple(name for name in model.heads if HEADS[name].gives in _USED)
    if not kept:
        raise ValueError(
            f"network: a head for masks or rolls expected, got {', '.join(model.heads)} alone"
        )
    left_out = set(model.heads) - set(kept)
    submodules = {model.head_objects()[name].submodule for name in left_out}
    options = {name: values for name, values in model.options.items() if name not in left_out}
    model = model.clone(heads=kept, options=options)
    return model, {name: own for name, own in params.items() if name not in submodules}


def _read(path):
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            text = metadata.get(_HEADER, "null")
            header = parse_json(text)
            check_form(header, _FORM)
            if metadata.get(_CHECKSUM) != str(zlib.crc32(text.encode())):
                raise ValueError("header: not as saved")
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _halved(name, array) -> np.ndarray:
    with np.errstate(over="ignore"):
        halved = array.astype(np.float16)
    if not np.isfinite(halved).all():
        raise ValueError(f"network: {name}: weights finite in half precision expected")
    return halved


def _checksum(array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
