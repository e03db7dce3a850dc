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
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import tensorstore

from cerberus_jax.architecture import model_from_json
from cerberus_jax.model import Cerberus
from cerberus_jax.processes import any_process
from cerberus_jax.train_state import TrainState

KINDS = ("last", "best")
_MAX_SHOWN = 3  # parameters named in an error
_ITEMS = ("params", "training", "metadata")
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
            [int(p.name) for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
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
    """The last checkpoint's state, in the form of `like` and laid out by `sharding`.

    Whether updates are left out may change from run to run: their count begins at 0 where none is
    stored, and is dropped where none is wanted.
    """
    path = locate(workdir, "last")
    target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), like)
    has_count = "skipped" in _stored_shapes(path / "training")
    count = jax.ShapeDtypeStruct((), "int32", sharding=sharding) if has_count else None
    stored = target.replace(skipped=count)
    items = _restore(path, params=stored.evaluated, training=_training(stored))
    kind = "params" if like.average is None else "average"
    state = TrainState(**{kind: items["params"]}, **items["training"])
    if (like.skipped is None) == (not has_count):
        return state
    none_yet = jax.device_put(jnp.int32(0), sharding)
    return state.replace(skipped=None if like.skipped is None else none_yet)


def restore_model(
    workdir: str | os.PathLike, step: str | int = "best"
) -> tuple[Cerberus, dict, dict]:
    """Model, parameters and metadata of a checkpoint, on the first device.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if the checkpoint is incomplete or does not fit its own description.
    """
    path = locate(workdir, step)
    metadata = read_metadata(path)
    try:
        model = model_from_json(metadata["model"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: the metadata describe no network of this version ({error!r}); choose another "
            "checkpoint with --step"
        ) from error
    shapes = parameter_shapes(model)
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), shapes)
    return model, _restore(path, params=target)["params"], metadata


def check_same_network(params: dict, model: Cerberus, name: str) -> None:
    """Raise a ValueError that names the first parameters of which `model` has others.

    Args:
        params: the parameters, or their shapes, as they are stored.
        model: the network they should be of.
        name: what is at fault, for the message.
    """
    if differences := _differences(params, parameter_shapes(model)):
        raise ValueError(
            f"{name}: the checkpoint is of another architecture. Its parameters differ from this "
            f"network's in: {_shorten(differences)}"
        )


def parameter_shapes(model: Cerberus) -> dict:
    """Shape and type of every parameter of a network."""
    frames = jax.ShapeDtypeStruct((1, 2, model.grid.num_bins), "float32")
    key = jax.random.key(0)
    return jax.eval_shape(lambda x: model.init(key, x, train=False)["params"], frames)


def _differences(stored, needed_shapes) -> list[str]:
    """One sentence per parameter that is not the same in both trees, in the network's order."""
    stored, needed_shapes = _shapes(stored), _shapes(needed_shapes)
    sentences = []
    for name in [*needed_shapes, *(name for name in stored if name not in needed_shapes)]:
        if stored.get(name) != needed_shapes.get(name):
            there = list(stored[name]) if name in stored else "absent"
            here = list(needed_shapes[name]) if name in needed_shapes else "absent"
            sentences.append(f"{name} ({there} in the checkpoint, {here} here)")
    return sentences


def _shapes(tree) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda leaf: hasattr(leaf, "shape"))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in leaves
    }


def read_metadata(path: Path) -> dict:
    """The JSON of a checkpoint, with the decoding settings stored beside it, if any."""
    try:
        metadata = json.loads((path / "metadata" / "metadata").read_text())
        if is_tuned(path):
            metadata["decoding"] = json.loads((path / _DECODING_FILE).read_text())
    except (OSError, json.JSONDecodeError) as error:
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
    try:
        _check_whole([path / name for name in targets if (path / name).is_dir()])
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    if differences := _stored_differences(path, targets["params"]):
        raise ValueError(f"{what}: its parameters differ in: {_shorten(differences)}")
    args = {name: ocp.args.StandardRestore(target) for name, target in targets.items()}
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler(*args)) as checkpointer:
            return checkpointer.restore(path, args=ocp.args.Composite(**args))
    except (ValueError, FileNotFoundError, KeyError) as error:
        raise ValueError(f"{what}: {error}") from error


def _check_whole(folders):
    """Reads all that is stored: Orbax would meet a damaged file too, but with an error without a
    name and a traceback from each of its threads."""
    for folder in folders:
        base = {"driver": "file", "path": f"{folder}/"}
        store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
        for name in store.list().result():
            store.read(name).result()


def _shorten(differences: list[str]) -> str:
    more = len(differences) - _MAX_SHOWN
    rest = [f"and {more} more"] if more > 0 else []
    return "; ".join([*differences[:_MAX_SHOWN], *rest])


def _stored_differences(path, needed_shapes) -> list[str]:
    """What is known without reading parameters; nothing where even that is broken."""
    stored = _stored_shapes(path / "params")
    return _differences(stored, needed_shapes) if stored else []


def _stored_shapes(item):
    """The tree of an item's shapes; empty where that is broken."""
    try:
        stored = ocp.StandardCheckpointHandler().metadata(item)
        return dict(stored.tree if hasattr(stored, "tree") else stored)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}
