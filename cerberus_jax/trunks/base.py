"""What a trunk is: a module from the mixture's spectrum to features that heads read by name."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid

FEATURES = "features"
"""The features [b t k] that every trunk gives; linear heads read them."""
PITCHES = "pitches"
"""Features [b t p c] of every pitch, which some trunks give and some heads read where they are."""


class Trunk(nn.Module, kw_only=True):
    """Base of the trunks. The fields here come from the network; a trunk adds its own options.

    Its options are read from `model.NAME.*` of a config, NAME being its name in `TRUNKS`, but for
    those that `MODEL_FIELDS` lists: they are fields of the network itself. A number says its least
    value as `metadata={"at_least": ...}`.

    Args:
        grid: the analysis grid.
        precision: of the products.
        recurrence: how a recurrence is computed, for trunks that have one.
        mesh: devices over which the examples are sharded, None for one device.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ("scaled",)
    """What it wants of the mixture, by the names of `model.INPUTS`."""
    GIVES: ClassVar[tuple[str, ...]] = (FEATURES,)
    """The names of its features."""
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ()

    grid: FrameGrid
    precision: str = "float32"
    recurrence: str = "auto"
    mesh: Mesh | None = None

    def __call__(
        self, inputs: dict[str, Float[Array, "b t f"]], *, train: bool
    ) -> dict[str, Float[Array, "b t ..."]]:
        """Features by name, 'features' [b t k] among them; with `train` a 'dropout' key is
        needed."""
        raise NotImplementedError

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Its own options with their defaults: the fields of `model.NAME`."""
        common = {field.name for field in dataclasses.fields(Trunk)} | {*cls.MODEL_FIELDS}
        return {f.name: f.default for f in dataclasses.fields(cls) if f.name not in common}

    @classmethod
    def least_values(cls) -> dict[str, int | float]:
        """The least value of its own options that say one."""
        own, fields = cls.options(), dataclasses.fields(cls)
        values = {f.name: f.metadata["at_least"] for f in fields if "at_least" in f.metadata}
        return {name: value for name, value in values.items() if name in own}
