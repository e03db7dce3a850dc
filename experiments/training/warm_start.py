"""Training that begins with the parameters of another network, where they fit."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from cerberus_jax import pretrained
from cerberus_jax.checkpoint import restore_model
from cerberus_jax.heads import HEADS
from cerberus_jax.model import Cerberus
from cerberus_jax.network_file import load_network
from cerberus_jax.parameter_shapes import by_name, parameter_shapes, shorten
from cerberus_jax.train_state import TrainState
from experiments.training.task import model_of


@dataclass(frozen=True)
class WarmStart:
    """What a run takes over.

    Args:
        source: whose network it is, as the config names it.
        taken: parameters by name.
        new: the names of the others of this network.
    """

    source: str
    taken: Mapping[str, np.ndarray]
    new: tuple[str, ...]

    def __str__(self) -> str:
        count, total = len(self.taken), len(self.taken) + len(self.new)
        new = f"; new: {', '.join(self.new)}" if self.new else ""
        return f"{count} of {total} parameters of {self.source}{new}"

    @property
    def fingerprint(self) -> str:
        """Of what is taken: a name says whose network it is, and not which version of it."""
        hashed = hashlib.sha256()
        for name in sorted(self.taken):
            hashed.update(name.encode())
            hashed.update(np.ascontiguousarray(self.taken[name], np.float32).tobytes())
        return hashed.hexdigest()[:16]

    def apply(self, state: TrainState) -> TrainState:
        """A fresh state with the parameters that are taken over."""

        def replace(place, leaf):
            name = jax.tree_util.keystr(place, simple=True, separator="/")
            if name not in self.taken:
                return leaf
            return jax.device_put(self.taken[name].astype(leaf.dtype), leaf.sharding)

        params = jax.tree_util.tree_map_with_path(replace, state.params)
        average = None if state.average is None else jax.tree.map(jnp.copy, params)
        return state.replace(params=params, average=average)


def warm_start(config: ConfigDict) -> WarmStart | None:
    """What a run of this config begins with; None where all parameters are new.

    A parameter is taken if the other network has one of the same name and shape. Those of heads are
    not where the instruments are others or in another order: they would be of the wrong ones.

    Raises:
        FileNotFoundError: if there is no such run or file.
        ValueError: naming `train.init_from`, if there is no such network, it is of another sampling
            rate, or nothing fits.
    """
    source, model = config.train.init_from, model_of(config)
    if not source:
        return None
    other, params = _network_of(source)
    if other.grid.sample_rate_hz != model.grid.sample_rate_hz:
        raise ValueError(
            f"train.init_from={source}: that network is of {other.grid.sample_rate_hz} Hz, this "
            f"one of {model.grid.sample_rate_hz}; its parameters would mean other frequencies"
        )
    stored, needed = by_name(params), by_name(parameter_shapes(model))
    if other.instruments != model.instruments:
        heads = tuple(f"{head.submodule}/" for head in HEADS.values())
        stored = {name: array for name, array in stored.items() if not name.startswith(heads)}
    taken = {
        name: np.asarray(stored[name])
        for name, like in needed.items()
        if name in stored and stored[name].shape == like.shape
    }
    new = tuple(name for name in needed if name not in taken)
    if not taken:
        raise ValueError(
            f"train.init_from={source}: none of its parameters fits this network, whose are "
            f"{shorten([f'{name} {list(like.shape)}' for name, like in needed.items()])}"
        )
    return WarmStart(source, taken, new)


def _network_of(source: str) -> tuple[Cerberus, dict]:
    path = pretrained.network_source(source, flag="train.init_from")
    model, params, _ = restore_model(path) if path.is_dir() else load_network(path)
    return model, params
