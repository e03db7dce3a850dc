"""Which parameters a network has, and how stored ones differ from them."""

from typing import Any

import jax

from cerberus_jax.model import Cerberus

_MAX_SHOWN = 3  # parameters named in an error


def check_same_network(params: dict, model: Cerberus, name: str) -> None:
    """Raise a ValueError that names the first parameters of which `model` has others.

    Args:
        params: the parameters, or their shapes, as they are stored.
        model: the network they should be of.
        name: what is at fault, for the message.
    """
    if found := differences(params, parameter_shapes(model)):
        raise ValueError(
            f"{name}: the checkpoint is of another architecture. Its parameters differ from this "
            f"network's in: {shorten(found)}"
        )


def parameter_shapes(model: Cerberus) -> dict:
    """Shape and type of every parameter of a network."""
    frames = jax.ShapeDtypeStruct((1, 2, model.grid.num_bins), "float32")
    key = jax.random.key(0)
    return jax.eval_shape(lambda x: model.init(key, x, train=False)["params"], frames)


def differences(stored, needed_shapes) -> list[str]:
    """One sentence per parameter that is not the same in both trees, in the network's order."""
    stored, needed_shapes = _shapes(stored), _shapes(needed_shapes)
    sentences = []
    for name in [*needed_shapes, *(name for name in stored if name not in needed_shapes)]:
        if stored.get(name) != needed_shapes.get(name):
            there = list(stored[name]) if name in stored else "absent"
            here = list(needed_shapes[name]) if name in needed_shapes else "absent"
            sentences.append(f"{name} ({there} in the checkpoint, {here} here)")
    return sentences


def by_name(tree) -> dict[str, Any]:
    """The parameters, or their shapes, by their names."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda leaf: hasattr(leaf, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _shapes(tree) -> dict[str, tuple]:
    return {name: tuple(leaf.shape) for name, leaf in by_name(tree).items()}


def shorten(sentences: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(sentences) - _MAX_SHOWN
    rest = [f"and {more} more"] if more > 0 else []
    return "; ".join([*sentences[:_MAX_SHOWN], *rest])
