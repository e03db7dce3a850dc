"""Weights of the PyTorch implementations of Cerberus -> parameters of this one.

Takes numpy arrays (or anything `numpy.asarray` takes), so that PyTorch itself is not needed. The
networks differ in what they feed the trunk: use `Cerberus(input_scaling='linear')` with
'cerberus_pytorch' and 'db_affine' with 'nussl', whose batch normalisation becomes `input_affine`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cerberus_jax.notes import NUM_PITCHES

_BATCH_NORM_EPSILON = 1e-5
_BATCH_NORM_NAMES = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class _Layout:
    """Where a code base keeps its modules, and which output of a head is the slow one."""

    prefix: str
    modules: Mapping[str, str]
    axes: Mapping[str, str]
    has_normalization: bool


_LAYOUTS = {
    "cerberus_pytorch": _Layout(
        prefix="cerberus.",
        modules={
            "trunk": "shared_body.lstm",
            "embedding_head": "clustering_head.dense_embedding",
            "mask_head": "separation_head.dense",
            "transcription_head": "transcription_head.dense",
        },
        axes={"embedding_head": "fd", "mask_head": "sf", "transcription_head": "sp"},
        has_normalization=False,
    ),
    "nussl": _Layout(
        prefix="",
        modules={
            "trunk": "layers.recurrent_stack.rnn",
            "embedding_head": "layers.embedding.linear",
            "mask_head": "layers.mask.linear",
            "normalization": "layers.normalization.batch_norm",
        },
        axes={"embedding_head": "fd", "mask_head": "fs"},
        has_normalization=True,
    ),
}


def from_torch(
    state_dict: Mapping[str, object],
    *,
    layout: str = "cerberus_pytorch",
    names: Mapping[str, str] | None = None,
) -> dict:
    """The parameter tree of `cerberus_jax.model.Cerberus`, as float32 numpy arrays.

    Heads that the state dict does not have are left out. Instruments stand in the order in which
    the network was trained.

    Args:
        state_dict: what `module.state_dict()` gives, or the 'state_dict' of a Lightning checkpoint.
        layout: 'cerberus_pytorch' or 'nussl'.
        names: other names of modules, by 'trunk', 'embedding_head', 'mask_head',
            'transcription_head', 'normalization'; e.g. {'trunk': 'layers.blstm.rnn'}.

    Raises:
        ValueError: on an unknown layout or module name, and listing every key that is missing,
            cannot be placed, or has another shape than its neighbours ask for.
    """
    if layout not in _LAYOUTS:
        raise ValueError(f"from_torch: layout must be one of {sorted(_LAYOUTS)}, got {layout!r}")
    if "state_dict" in state_dict:
        raise ValueError("from_torch: this is a whole checkpoint; pass checkpoint['state_dict']")
    form = _LAYOUTS[layout]
    if unknown := sorted(set(names or {}) - set(form.modules)):
        raise ValueError(f"from_torch: names must be among {sorted(form.modules)}, got {unknown}")
    reader = _Reader(state_dict, form.prefix, {**form.modules, **(names or {})})
    trunk = _trunk(reader)
    params = {"trunk": trunk}
    num_bins, width = None, None
    if reader.complete:
        num_bins = trunk["layer_0"]["input_kernel"].shape[1]
        width = 2 * trunk[f"layer_{len(trunk) - 1}"]["recurrent_kernel"].shape[1]
    for head, axes in form.axes.items():
        if reader.has(head):
            params[head] = _head(reader, head, axes=axes, num_bins=num_bins, width=width)
    if form.has_normalization and reader.has("normalization"):
        params["input_affine"] = _affine(reader, num_bins)
    reader.finish(layout)
    return params


class _Reader:
    """Hands out arrays by module and keeps account of what is missing, ill-shaped or left over."""

    def __init__(self, state_dict, prefix: str, modules: Mapping[str, str]):
        self._arrays = {
            key.removeprefix(prefix): np.asarray(value, np.float32)
            for key, value in state_dict.items()
            if not key.endswith("num_batches_tracked")
        }
        self._modules = modules
        self._left = set(self._arrays)
        self._missing = []
        self._ill_shaped = []

    @property
    def complete(self) -> bool:
        """Whether all that was asked for so far was there, in the right shape."""
        return not self._missing and not self._ill_shaped

    def has(self, module: str, part: str = "") -> bool:
        """Whether a key of the module begins with `part`."""
        start = f"{self._modules[module]}.{part}"
        return any(key.startswith(start) for key in self._arrays)

    def take(self, module: str, part: str, shape=None):
        """The array of one key, checked against `shape` (None: any size on that axis)."""
        key = f"{self._modules[module]}.{part}"
        self._left.discard(key)
        array = self._arrays.get(key)
        if array is None:
            self._missing.append(key)
            return None
        if shape is not None and (
            array.ndim != len(shape)
            or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True))
        ):
            wanted = ["any" if size is None else size for size in shape]
            self.refuse(module, part, f"has the shape {list(array.shape)}, expected {wanted}")
            return None
        return array

    def refuse(self, module: str, part: str, reason: str):
        """Note a key as unusable."""
        self._ill_shaped.append(f"{self._modules[module]}.{part} {reason}")

    def finish(self, layout: str):
        """Raise if anything is amiss."""
        problems = [
            f"{title}: {', '.join(sorted(keys))}"
            for title, keys in (
                ("missing", self._missing),
                ("of another shape", self._ill_shaped),
                ("not to be placed", self._left),
            )
            if keys
        ]
        if problems:
            raise ValueError(
                f"from_torch: the state dict does not fit the layout {layout!r}; "
                + "; ".join(problems)
            )


def _trunk(reader: _Reader) -> dict:
    layers = {}
    size = None
    while not layers or reader.has("trunk", f"weight_ih_l{len(layers)}"):
        k = len(layers)
        halves = []
        for ending in (f"l{k}", f"l{k}_reverse"):
            half = _direction(reader, ending, size)
            halves.append(half)
            if size is None and half is not None:
                size = half["input_kernel"].shape[0]
        layers[f"layer_{k}"] = (
            {name: np.stack([half[name] for half in halves]) for name in halves[0]}
            if all(half is not None for half in halves)
            else None
        )
        size = None if halves[0] is None else 2 * halves[0]["recurrent_kernel"].shape[0]
    return layers


def _direction(reader: _Reader, ending: str, size: int | None) -> dict | None:
    """One direction of one layer; PyTorch keeps two biases that are only ever added."""
    recurrent = reader.take("trunk", f"weight_hh_{ending}", (None, None))
    gates = None if recurrent is None else 4 * recurrent.shape[1]
    into = reader.take("trunk", f"weight_ih_{ending}", (gates, size))
    biases = [reader.take("trunk", f"bias_{kind}_{ending}", (gates,)) for kind in ("ih", "hh")]
    if recurrent is None or into is None or any(bias is None for bias in biases):
        return None
    if len(recurrent) != gates:
        reader.refuse("trunk", f"weight_hh_{ending}", "is not four square gates (a projection?)")
        return None
    return {"input_kernel": into.T, "recurrent_kernel": recurrent.T, "bias": sum(biases)}


def _head(
    reader: _Reader, head: str, *, axes: str, num_bins: int | None, width: int | None
) -> dict | None:
    """A linear layer whose rows are two axes in one; kernel [2h, d or s, f or p]."""
    weight = reader.take(head, "weight", (None, width))
    bias = reader.take(head, "bias", (None if weight is None else len(weight),))
    known = NUM_PITCHES if "p" in axes else num_bins
    if weight is None or bias is None or known is None:
        return None
    if len(weight) % known:
        reader.refuse(head, "weight", f"has {len(weight)} rows, no multiple of {known}")
        return None
    known_is_slow = axes[0] == "f"
    shape = (known, -1) if known_is_slow else (-1, known)
    weight, bias = weight.reshape(*shape, weight.shape[1]), bias.reshape(shape)
    if known_is_slow:
        weight, bias = weight.swapaxes(0, 1), bias.T
    return {"kernel": np.ascontiguousarray(np.moveaxis(weight, -1, 0)), "bias": bias.copy()}


def _affine(reader: _Reader, num_bins: int | None) -> dict | None:
    """Batch normalisation at rest; its one feature (or one per bin) is spread over the bins."""
    arrays = [reader.take("normalization", name, (None,)) for name in _BATCH_NORM_NAMES]
    if num_bins is None or any(array is None for array in arrays):
        return None
    if any(array.size not in (1, num_bins) for array in arrays):
        reader.refuse("normalization", "weight", f"must have 1 or {num_bins} features")
        return None
    weight, bias, mean, variance = (np.broadcast_to(array, (num_bins,)) for array in arrays)
    scale = weight / np.sqrt(variance + np.float32(_BATCH_NORM_EPSILON))
    return {"scale": scale, "shift": bias - mean * scale}
