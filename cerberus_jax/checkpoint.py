"""Checkpoints of a run, by Orbax: the last ones and the best one.

A checkpoint has four items: `params` (their average where there is one), `training` (optimiser,
step, plateau and what else it needs to go on), `metadata`, JSON that says all that is needed to use
the parameters without the run's config, and `checksums` of all that.
Orbax writes into a temporary folder and renames it, so an interrupted save leaves the previous
checkpoint in place. What is restored is compared with its checksums, and is laid out for the
devices at hand, so their number may differ from that of the run.
"""

import contextlib
import functools
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from cerberus_jax.architecture import (
    DECODING_FORM,
    check_version,
    decoding_from_json,
    model_from_json,
)
from cerberus_jax.checkpoint_folder import CheckpointFolder, set_aside, steps_in
from cerberus_jax.checkpoint_integrity import (
    CHECKSUMS,
    check_access,
    checksums_of,
    name_of,
    read_arrays,
    stamp_of,
)
from cerberus_jax.json_files import read_json
from cerberus_jax.model import Cerberus
from cerberus_jax.outside import DAMAGE, reason_of
from cerberus_jax.parameter_shapes import differences, parameter_shapes, shorten
from cerberus_jax.train_state import TrainState

KINDS = ("last", "best")
_ARRAYS = ("params", "training")
_ITEMS = (*_ARRAYS, "metadata", CHECKSUMS)
_METADATA = {"version?": int, "model": {}, "decoding?": {}}
_DECODING_FILE = "decoding.json"
_FOUND_WHOLE = set()  # the stamps of checkpoints that this process has read and compared


class CheckpointWriter:
    """Saves `last` and `best` checkpoints of one run; call `close` (or use `with`) at the end.

    Args:
        workdir: the run's directory.
        keep: how many of the last checkpoints are kept.
    """

    def __init__(self, workdir: str | os.PathLike, *, keep: int = 2):
        self._folders = {
            kind: CheckpointFolder(
                _folder(workdir, kind), _ITEMS, keep=keep if kind == "last" else 1
            )
            for kind in KINDS
        }

    def save(self, kind: str, state: TrainState, metadata: dict) -> None:
        """Saves in the background; a step that is already there is left as it is.

        Raises:
            OSError: if the folder cannot be written to, or the disk has no room for it.
        """
        arrays = dict(zip(_ARRAYS, (state.evaluated, _training(state)), strict=True))
        items = {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
        json_items = {"metadata": metadata, CHECKSUMS: checksums_of(arrays, metadata)}
        items |= {name: ocp.args.JsonSave(value) for name, value in json_items.items()}
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        # `best` may be on its way when `last` comes.
        room = 2 * size + 2**20
        self._folders[kind].save(int(state.step), ocp.args.Composite(**items), num_bytes=room)

    def close(self) -> None:
        """Waits until everything is on disk."""
        with contextlib.ExitStack() as stack:
            for folder in self._folders.values():
                stack.callback(folder.close)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def saved_steps(workdir: str | os.PathLike) -> dict[str, int]:
    """The newest step of each kind of checkpoint that exists."""
    steps = {kind: steps_in(_folder(workdir, kind)) for kind in KINDS}
    return {kind: of_kind[-1] for kind, of_kind in steps.items() if of_kind}


def locate(workdir: str | os.PathLike, step: str | int = "best") -> Path:
    """The folder of a checkpoint: 'best', 'last' or a step number.

    Raises:
        FileNotFoundError: if there is none, naming those that exist.
    """
    saved = {kind: steps for kind in KINDS if (steps := steps_in(_folder(workdir, kind)))}
    for kind, numbers in saved.items():
        if str(step) == kind:
            return _folder(workdir, kind) / str(numbers[-1])
        if str(step) in map(str, numbers):
            return _folder(workdir, kind) / str(step)
    if not saved:
        raise FileNotFoundError(
            f"{workdir}: holds no checkpoint; train first, for example with "
            "python -m experiments.run --config=sets/demo.py"
        )
    have = ", ".join(f"{kind} (step {', '.join(map(str, n))})" for kind, n in saved.items())
    raise FileNotFoundError(f"{workdir}: has no checkpoint {step!r}; there are: {have}")


def newest_whole(
    workdir: str | os.PathLike, *, with_arrays: bool = True
) -> tuple[Path, dict] | None:
    """The checkpoint that training goes on from: the newest whole one of `last`, or where none is,
    `best`, with its arrays by item and name; None where there is nothing to go on from.

    Damaged ones that are met are set aside, `best` too, whose place training would else think
    taken. What this process has found whole it reads no second time for that alone.

    Args:
        workdir: the run's directory.
        with_arrays: give the arrays; without them there may be none.

    Raises:
        ValueError: if there were checkpoints and all of them are damaged.
        OSError: naming the file, if one is there and cannot be read now; nothing is set aside then.
    """
    found, damaged = {}, []
    for kind in KINDS:
        for step in reversed(steps_in(_folder(workdir, kind))):
            path = _folder(workdir, kind) / str(step)
            try:
                stamp = stamp_of(path)
                is_needed = stamp not in _FOUND_WHOLE or (with_arrays and not found)
                found[kind] = path, read_arrays(path, _ARRAYS) if is_needed else {}
                _FOUND_WHOLE.add(stamp)
                break
            except (OSError, ValueError) as error:
                check_access(path)
                set_aside(path, str(error))
                damaged.append(f"{kind}/{step}")
    if damaged and not found:
        raise ValueError(
            f"{workdir}: all checkpoints are damaged ({', '.join(damaged)}) and are set aside in "
            "checkpoints/damaged; the same command begins anew, from step 0"
        )
    return found.get("last", found.get("best"))


def restore_state(workdir: str | os.PathLike, like: TrainState, sharding) -> TrainState:
    """The state to go on from (see `newest_whole`), in the form of `like`, laid out by `sharding`.

    Whether updates are left out may change from run to run: their count begins at 0 where none is
    stored, and is dropped where none is wanted.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if it is of another network or another optimiser.
    """
    if not (found := newest_whole(workdir)):
        raise FileNotFoundError(f"{workdir}: holds no checkpoint to go on from")
    path, arrays = found
    has_count = "skipped" in arrays["training"]
    stored = like.replace(skipped=jax.ShapeDtypeStruct((), "int32") if has_count else None)
    targets = {"params": stored.evaluated, "training": _training(stored)}
    items = _laid_out(path, arrays, targets, sharding)
    kind = "params" if like.average is None else "average"
    state = TrainState(**{kind: items["params"]}, **items["training"])
    if (like.skipped is None) == (not has_count):
        return state
    none_yet = jax.device_put(jnp.int32(0), sharding)
    return state.replace(skipped=None if like.skipped is None else none_yet)


def restore_model(
    workdir: str | os.PathLike, step: str | int = "best"
) -> tuple[Cerberus, dict, dict]:
    """Model, parameters and metadata of a checkpoint, on the first device of this process.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if the checkpoint is incomplete or does not fit its own description.
    """
    return restore_located(locate(workdir, step))


def restore_located(path: Path) -> tuple[Cerberus, dict, dict]:
    """The same of the checkpoint in a folder, as `locate` gives it.

    Raises:
        ValueError: as for `restore_model`.
    """
    model, shapes, metadata = read_network(path)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    arrays = _read(path, ("params",))
    return model, _laid_out(path, arrays, {"params": shapes}, device)["params"], metadata


def read_network(path: Path) -> tuple[Cerberus, dict, dict]:
    """Model, shapes of its parameters, and metadata of the checkpoint in a folder.

    Raises:
        ValueError: if it is incomplete, or describes no network.
    """
    metadata = read_metadata(path)
    try:
        check_version(metadata.get("version", 1))
        model = model_from_json(metadata["model"])
        decoding_from_json(metadata.get("decoding", {}), model)
        shapes = parameter_shapes(model)
    except DAMAGE as error:
        raise ValueError(
            f"{path}: the metadata describe no network of this version ({reason_of(error)}); "
            "choose another checkpoint with --step"
        ) from error
    return model, shapes, metadata


def read_metadata(path: Path) -> dict:
    """The JSON of a checkpoint, with the decoding settings stored beside it, if any.

    Raises:
        ValueError: if a file is missing or damaged.
    """
    another = {"remedy": "choose another checkpoint with --step"}
    try:
        file = path / "metadata" / "metadata"
        metadata = read_json(file, "a network's metadata", _METADATA, **another)
        if is_tuned(path):
            file = path / _DECODING_FILE
            form = {str: DECODING_FORM}
            metadata["decoding"] = read_json(file, "settings of decoding", form, **another)
    except OSError as error:
        raise ValueError(
            f"{path}: the checkpoint is incomplete ({error}); choose another with --step"
        ) from error
    return metadata


def store_decoding(path: Path, decoding: dict) -> None:
    """Writes decoding settings, found on validation data, into a finished checkpoint.

    Raises:
        OSError: if that fails, as on a full disk; names the file, and an earlier one stays whole.
    """
    file = path / _DECODING_FILE
    temporary = path / f"{_DECODING_FILE}.partial"
    try:
        temporary.write_text(json.dumps(decoding, indent=1))
        temporary.replace(file)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        temporary.unlink(missing_ok=True)


def is_tuned(path: Path) -> bool:
    """Whether decoding settings found on validation data are stored in a checkpoint."""
    return (path / _DECODING_FILE).exists()


def _training(state):
    """All of a state but the parameters that are used."""
    training = {"step": state.step, "opt_state": state.opt_state, "plateau": state.plateau}
    if state.average is not None:
        training["params"] = state.params
    return training if state.skipped is None else training | {"skipped": state.skipped}


def _folder(workdir, kind):
    return Path(workdir).resolve() / "checkpoints" / kind


def _read(path, items):
    try:
        return read_arrays(path, items)
    except ValueError as error:
        raise ValueError(
            f"{path}: the checkpoint cannot be read as this network: {error}; choose another with "
            "--step"
        ) from error


def _laid_out(path, arrays, targets, sharding):
    """The trees of `targets` with the arrays in their places."""
    for item, target in targets.items():
        stored = {name.replace(".", "/"): array for name, array in arrays[item].items()}
        if found := differences(stored, target):
            raise ValueError(
                f"{path}: the checkpoint cannot be read as this network: its {item} differ in: "
                f"{shorten(found)}"
            )
    put = functools.partial(_on_devices, sharding=sharding)
    return {
        item: jax.tree_util.tree_map_with_path(
            lambda place, leaf, stored=arrays[item]: put(stored[name_of(place)], leaf), target
        )
        for item, target in targets.items()
    }


def _on_devices(array, like, *, sharding):
    array = np.asarray(array, like.dtype)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
