"""What a head is, and the linear layer that most heads consist of.

The functions work on plain parameter dictionaries, so that the model and the joint loss run the
same code. Frequency is kept as the minor axis throughout: a minor axis of 20 would be padded to 128
on a TPU, and is no faster elsewhere.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.products import product
from cerberus_jax.targets import Mixture
from cerberus_jax.trunks.base import FEATURES


@dataclass(frozen=True)
class Context:
    """What a head needs to know of its network.

    Args:
        num_sources: instrument slots.
        num_transcribed: those that have a roll.
        num_bins: frequency bins of a frame.
        features: what its trunk gives.
        precision: of the products.
    """

    num_sources: int
    num_transcribed: int
    num_bins: int
    grid: FrameGrid | None = None
    features: tuple[str, ...] = (FEATURES,)
    precision: str = "float32"


@dataclass(frozen=True, kw_only=True)
class Head:
    """Base of the heads: outputs, targets and loss of one task.

    A head's own options are its fields. Those in `LOSS_FIELDS` concern training alone and are
    `loss.NAME_FIELD` of a config, NAME being the head's name in `HEADS`; those in `MODEL_FIELDS`
    are fields of the network; any other is part of the architecture and read from `model.NAME.*`.
    A field of strings lists the values it may take as `metadata={"choices": ...}`, a number its
    least value as `metadata={"at_least": ...}`.

    A linear head is `shape` numbers per frame, one linear layer on the trunk's 'features'; the
    joint loss computes its gradients without holding the outputs of more than a microbatch. Another
    head overrides `module`, says what features it `reads`, and sets `is_linear` to False.

    Args:
        context: sizes of the network; a linear head needs them for its parameters alone.
        stride: the loss looks at one frame in so many.
    """

    submodule: ClassVar[str]
    """Name of its parameters in the network."""
    output: ClassVar[str]
    """Name of its output in CerberusOutput."""
    short_name: ClassVar[str]
    """Of its loss, for the progress bar."""
    gives: ClassVar[str] = ""
    """'masks', 'rolls', 'onsets' or 'clusters' where prediction and evaluation have a use for its
    output."""
    default_weight: ClassVar[float] = 0.0
    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ()
    LOSS_FIELDS: ClassVar[tuple[str, ...]] = ("stride",)

    context: Context | None = None
    stride: int = dataclasses.field(default=1, metadata={"at_least": 1})

    @property
    def reads(self) -> tuple[str, ...]:
        """The features it reads."""
        return (FEATURES,)

    @property
    def is_linear(self) -> bool:
        """Whether it is one linear layer on the features."""
        return True

    def shape(self) -> tuple[int, int]:
        """Outputs per frame [k m] of a linear head."""
        raise NotImplementedError

    def module(self) -> nn.Module:
        """The module that holds its parameters; one that is not linear is called with
        {name: features} and gives the raw output [b t ...]."""
        return Linear(self.shape())

    def raw(self, params: dict, features: dict[str, Array]) -> Float[Array, "b t ..."]:
        """The raw output from plain parameters."""
        if self.is_linear:
            precision = self.context.precision if self.context else "float32"
            return linear(params, features[FEATURES], precision=precision)
        return self.module().apply({"params": params}, features)

    def activate(self, raw: Float[Array, "b t ..."]) -> Array:
        """Its output in CerberusOutput, from the raw output."""
        raise NotImplementedError

    def predict(self, output: Array) -> Array:
        """What `gives` says, from its output in CerberusOutput."""
        return output

    def targets(self, mixture: Mixture) -> dict[str, Array]:
        """What its loss compares with, arrays [b ...] by names that heads may share."""
        raise NotImplementedError

    def loss(
        self, raw: Float[Array, "c t ..."], targets: dict[str, Array], first_frame: Array | int
    ) -> Float[Array, " c"]:
        """The loss of each excerpt.

        Args:
            raw: of the frames that `strided` picks.
            targets: of all frames: those of all heads, and 'mixture_magnitude'.
            first_frame: what `strided` begins with.
        """
        raise NotImplementedError

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Its own architecture with the defaults: the fields of `model.NAME`."""
        common = {"context", *cls.MODEL_FIELDS, *cls.LOSS_FIELDS}
        return {f.name: f.default for f in dataclasses.fields(cls) if f.name not in common}

    @classmethod
    def loss_options(cls) -> dict[str, Any]:
        """What concerns training alone, with the defaults: `loss.NAME_FIELD` each."""
        return {f.name: f.default for f in dataclasses.fields(cls) if f.name in cls.LOSS_FIELDS}

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """The values that a field may take, for the fields that list them."""
        fields = dataclasses.fields(cls)
        return {f.name: tuple(f.metadata["choices"]) for f in fields if "choices" in f.metadata}

    @classmethod
    def least_values(cls) -> dict[str, int]:
        """The least value of the fields that name one."""
        fields = dataclasses.fields(cls)
        return {f.name: f.metadata["at_least"] for f in fields if "at_least" in f.metadata}


class Linear(nn.Module):
    """Parameters of one linear layer to `shape` outputs, whose biases begin at `first_bias`; a call
    returns them as a dictionary."""

    shape: tuple[int, int]
    first_bias: float = 0.0

    @nn.compact
    def __call__(self, num_features: int) -> dict:
        init = initializers.variance_scaling(1.0, "fan_avg", "normal", out_axis=(-2, -1), in_axis=0)
        kernel = self.param("kernel", init, (num_features, *self.shape))
        bias = self.param("bias", initializers.constant(self.first_bias), self.shape)
        return {"kernel": kernel, "bias": bias}


def linear(
    params, features: Float[Array, "*a h"], *, precision: str = "float32"
) -> Float[Array, "*a k m"]:
    """features @ kernel + bias, for a kernel of shape [h k m]."""
    kernel, bias = params["kernel"], params["bias"]
    flat = product(
        features.reshape(-1, features.shape[-1]), kernel.reshape(kernel.shape[0], -1), precision
    )
    return flat.reshape(*features.shape[:-1], *kernel.shape[1:]) + bias


def strided(array: Array, stride: int, first_frame: Array | int, axis: int) -> Array:
    """Every stride-th frame from `first_frame` on, the excerpt taken as a circle: so the number of
    frames is the same whatever the first is, and each is looked at as it advances."""
    if stride == 1:
        return array
    num_frames = max(array.shape[axis] // stride, 1)
    frames = (first_frame + stride * jnp.arange(num_frames)) % array.shape[axis]
    return jnp.take(array, frames, axis=axis, mode="clip")
