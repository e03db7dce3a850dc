"""Checkpoints of a run, by Orbax: the last one and the best one.

A checkpoint has three items: `params`, `training` (optimiser, step, plateau) and `metadata`, JSON
that says all that is needed to use the parameters without the run's config. Orbax writes into a
temporary folder and renames it, so an interrupted save leaves the previous checkpoint in place.
Restoring always names a target laid out for the devices at hand, so their number may differ
from that of the run.
"""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import jax
import orbax.checkpoint as ocp
import tensorstore

from cerberus_jax.architecture import DECODING_FORM, decoding_from_json, model_from_json
from cerberus_jax.json_files import read_json
from cerberus_jax.model import Cerberus
from cerberus_jax.outside import DAMAGE, reason_of
from cerberus_jax.parameter_shapes import differences, parameter_shapes, shorten
from cerberus_jax.processes import any_process
from cerberus_jax.train_state import TrainState

KINDS = ("last", "best")
_ITEMS = ("params", "training", "metadata")
_METADATA = {"model": {}, "decoding?": {}}
_ARRAY_METADATA = {
    "array_metadatas": [
        {"array_metadata": {"param_name": str, "write_shape": [int], "chunk_shape": [int]}}
    ]
}
_DECODING_FILE = "decoding.json"


class CheckpointWriter:
    """Saves `last` and `best` checkpoints of one run; call `close` (or use `with`) at the end."""

    def __init__(self, workdir: str | os.PathLike):
        self._managers = {
            kind: ocp.CheckpointManager(
                _folder(workdir, kind), options=_options(kind), item_names=_ITEMS
            )
            for kind in KINDS
        }

    def save(self, kind: str, state: TrainState, metadata: dict) -> None:
        """Saves in the background; a step that is already there is left as it is.

        Raises:
            OSError: if the disk has no room for it.
        """
        manager, step = self._managers[kind], int(state.step)
        if step in manager.all_steps():
            return
        _check_room(manager.directory, state)
        # A crash may have left a later `best` than the run went on from, and Orbax saves no step
        # before the latest.
        for later in [other for other in manager.all_steps() if other > step]:
            manager.delete(later)
        manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.evaluated),
                training=ocp.args.StandardSave(_training(state)),
                metadata=ocp.args.JsonSave(metadata),
            ),
        )

    def close(self) -> None:
        """Waits until everything is on disk."""
        for manager in self._managers.values():
            manager.wait_until_finished()
            manager.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def saved_steps(workdir: str | os.PathLike) -> dict[str, int]:
    """The step of each kind of checkpoint that exists."""
    steps_by_kind = {}
    for kind in KINDS:
        folder = _folder(workdir, kind)
        steps = (
            [int(p.name) for p in folder.iterdir() if re.fullmatch(r"[0-9]+", p.name)]
            if folder.is_dir()
            else []
        )
        if steps:
            steps_by_kind[kind] = max(steps)
    return steps_by_kind


def locate(workdir: str | os.PathLike, step: str | int = "best") -> Path:
    """The folder of a checkpoint: 'best', 'last' or a step number.

    Raises:
        FileNotFoundError: if there is none, naming those that exist.
    """
    saved = saved_steps(workdir)
    for kind, number in saved.items():
        if str(step) in (kind, str(number)):
            return _folder(workdir, kind) / str(number)
    if not saved:
        raise FileNotFoundError(
            f"{workdir}: holds no checkpoint; train first, for example with "
            "python -m experiments.run --config=sets/demo.py"
        )
    have = ", ".join(f"{kind} (step {number})" for kind, number in saved.items())
    raise FileNotFoundError(f"{workdir}: has no checkpoint {step!r}; there are: {have}")


def restore_state(workdir: str | os.PathLike, like: TrainState, sharding) -> TrainState:
    """The last checkpoint's state, in the form of `like` and laid out by `sharding`."""
    path = locate(workdir, "last")
    target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), like)
    items = _restore(path, params=target.evaluated, training=_training(target))
    if like.average is None:
        return TrainState(params=items["params"], **items["training"])
    return TrainState(average=items["params"], **items["training"])


def restore_model(
    workdir: str | os.PathLike, step: str | int = "best"
) -> tuple[Cerberus, dict, dict]:
    """Model, parameters and metadata of a checkpoint, on the first device.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if the checkpoint is incomplete or does not fit its own description.
    """
    path = locate(workdir, step)
    model, shapes, metadata = read_network(path)
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), shapes)
    return model, _restore(path, params=target)["params"], metadata


def read_network(path: Path) -> tuple[Cerberus, dict, dict]:
    """Model, shapes of its parameters, and metadata of the checkpoint in a folder.

    Raises:
        ValueError: if it is incomplete, or describes no network.
    """
    metadata = read_metadata(path)
    try:
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
    return training if state.average is None else training | {"params": state.params}


def _options(kind):
    """Several processes meet under names, which must differ where both kinds save one step."""
    multiprocessing = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=kind)
    return ocp.CheckpointManagerOptions(
        max_to_keep=1, create=True, multiprocessing_options=multiprocessing
    )


def _check_room(folder, state):
    """Orbax would find a full disk too, in many threads and with a traceback from each; and where
    one process found it alone, the others would wait for it."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    needed = 2 * size + 2**20  # `best` may be on its way when `last` comes
    free = shutil.disk_usage(folder).free
    if any_process(free < needed):
        reason = f"No space for a checkpoint ({needed / 1e6:.0f} MB wanted, {free / 1e6:.0f} free)"
        raise OSError(errno.ENOSPC, reason, str(folder))


def _folder(workdir, kind):
    return Path(workdir).resolve() / "checkpoints" / kind


def _restore(path, **targets):
    what = f"{path}: the checkpoint cannot be read as this network"
    folders = [path / name for name in targets if (path / name).is_dir()]
    for file in sorted(file for folder in folders for file in folder.glob("array_metadatas/*")):
        read_json(file, "metadata of arrays", _ARRAY_METADATA)
    try:
        _check_whole(folders)
    except ValueError as error:
        raise ValueError(f"{what}: {reason_of(error)}") from error
    if found := _stored_differences(path, targets["params"]):
        raise ValueError(f"{what}: its parameters differ in: {shorten(found)}")
    args = {name: ocp.args.StandardRestore(target) for name, target in targets.items()}
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler(*args)) as checkpointer:
            return checkpointer.restore(path, args=ocp.args.Composite(**args))
    except (FileNotFoundError, *DAMAGE) as error:
        raise ValueError(f"{what}: {reason_of(error)}") from error


def _check_whole(folders):
    """Reads all that is stored: Orbax would meet a damaged file too, but with an error without a
    name and a traceback from each of its threads."""
    for folder in folders:
        base = {"driver": "file", "path": f"{folder}/"}
        store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
        for name in store.list().result():
            if name.endswith(b".zarray"):
                place = {"driver": "ocdbt", "base": base, "path": name[:-7].decode()}
                tensorstore.open({"driver": "zarr", "kvstore": place}).result().read().result()


def _stored_differences(path, needed_shapes) -> list[str]:
    """What is known without reading parameters; nothing where even that is broken."""
    try:
        stored = ocp.StandardCheckpointHandler().metadata(path / "params")
        return differences(stored.tree if hasattr(stored, "tree") else stored, needed_shapes)
    except (OSError, *DAMAGE):
        return []
