"""Whether a checkpoint is what was saved: a checksum of every array, compared with what is stored.

Orbax reads whatever the files hold, and a flipped bit in a parameter is a parameter. The checksums
are those of the arrays in memory, so that they tell of whatever happens between there and a later
run. Checkpoints of earlier versions have none; what is stored of them must only be readable.
"""

import json
import os
import zlib
from pathlib import Path

import jax
import numpy as np
import tensorstore

from cerberus_jax.json_files import parse_json
from cerberus_jax.outside import DAMAGE, reason_of

CHECKSUMS = "checksums"
"""The item of a checkpoint, beside its arrays and metadata, that holds their checksums."""

_METADATA = "metadata"
_JSON_FILE = "metadata"  # what Orbax calls the file of an item of JSON
_BLOCK = 1 << 20  # bytes
_ARRAY_FILE = "/.zarray"  # the file, beside the chunks of an array, that describes it


def checksums_of(trees: dict, metadata: dict) -> dict:
    """The checksums of a checkpoint.

    Args:
        trees: items of arrays, by name.
        metadata: its JSON.

    Returns:
        CRC-32 of each array by item and name, and of the metadata.
    """
    arrays = {
        item: {
            name_of(path): _of_array(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for item, tree in trees.items()
    }
    return {"arrays": arrays, _METADATA: _of_json(metadata)}


def name_of(path: tuple) -> str:
    """The name under which the array at a place in a tree is stored."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def read_arrays(path: Path, items: tuple[str, ...]) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of some items, by item and name, once they are known to be what was saved.

    Args:
        path: the checkpoint's folder.
        items: the items of arrays.

    Raises:
        ValueError: saying what is missing, cannot be read, or is not what was saved.
    """
    arrays = {item: _stored_arrays(path / item) for item in items}
    if not (path / CHECKSUMS).exists():  # of an earlier version
        return arrays
    expected = _stored_checksums(path)
    for item in items:
        found = {name: _of_array(array) for name, array in arrays[item].items()}
        wanted = expected["arrays"][item]
        if differing := [name for name in wanted if wanted[name] != found.get(name)]:
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            raise ValueError(f"{item}/{differing[0]}{more}: not as saved")
    if _of_json(_read_json(path / _METADATA)) != expected[_METADATA]:
        raise ValueError("metadata: not as saved")
    return arrays


def stamp_of(path: Path) -> tuple:
    """What tells, without reading it, that a checkpoint has not been written to: the names, sizes
    and times of its files."""
    files = [(str(file), file.stat()) for file in sorted(path.rglob("*"))]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in files)


def check_access(path: Path) -> None:
    """Whether all files of a checkpoint can be read, whatever they hold: an owner, a limit of open
    files or a server that is away is no damage.

    Raises:
        OSError: naming the file or folder that cannot.
    """
    for folder, _, names in os.walk(path, onerror=_raise):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                while file.read(_BLOCK):
                    pass


def _raise(error):
    raise error


def _stored_checksums(path):
    found = _read_json(path / CHECKSUMS)
    arrays = found.get("arrays") if isinstance(found, dict) else None
    is_whole = isinstance(arrays, dict) and all(isinstance(v, dict) for v in arrays.values())
    if not is_whole or not {"params", "training"} <= set(arrays) or _METADATA not in found:
        raise ValueError(f"{CHECKSUMS}: not as saved")
    return found


def _read_json(folder):
    try:
        return parse_json((folder / _JSON_FILE).read_bytes())
    except (OSError, *DAMAGE) as error:
        raise ValueError(f"{folder.name}: {reason_of(error)}") from error


def _stored_arrays(folder):
    """Names and values of all arrays of an item, read without Orbax, whose threads would each print
    a traceback of what is damaged, and which needs more files than the arrays themselves."""
    base = {"driver": "file", "path": f"{folder}/"}
    arrays = {}
    try:
        store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
        names = [key.decode() for key in store.list().result()]
        for name in [n.removesuffix(_ARRAY_FILE) for n in names if n.endswith(_ARRAY_FILE)]:
            place = {"driver": "ocdbt", "base": base, "path": f"{name}/"}
            array = tensorstore.open({"driver": "zarr", "kvstore": place}).result()
            arrays[name] = array.read().result()
    except (OSError, *DAMAGE) as error:
        raise ValueError(f"{folder.name}: {reason_of(error)}") from error
    if not arrays:
        raise ValueError(f"{folder.name}: missing")
    return arrays


def _of_array(array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _of_json(value) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())
