"""Cerberus: input features, trunk, and the heads in use (Manilow, Seetharaman, Pardo, 2020).

The input scaling stands here, so that no caller can forget it: decibels relative to the excerpt's
maximum (or to `db_reference`), floored at -80 dB, mapped to 0..1.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from flax.core import FrozenDict, freeze
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads import HEADS, PAPER_HEADS, Context, Head
from cerberus_jax.lstm import BACKENDS
from cerberus_jax.products import PRECISIONS
from cerberus_jax.trunks import TRUNKS
from cerberus_jax.trunks.base import FEATURES

FLOOR_DB = 80.0
INPUT_SCALINGS = ("excerpt_db", "excerpt_db_affine", "db_affine", "linear")
INPUTS = ("scaled", "relative_magnitude")
"""What a trunk may want of the mixture, both [b t f]: the scaled spectrum, and magnitudes over the
magnitude that counts as 0 dB."""


@struct.dataclass
class CerberusOutput:
    """What the heads say, by the names of their outputs: `embedding` [b t f d], `mask` [b s t f],
    `roll_logits` [b s t p] and those of other heads are attributes; None for a head that is absent
    or was not asked for.
    """

    outputs: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in {head.output for head in HEADS.values()}:
            return self.outputs.get(name)
        raise AttributeError(f"CerberusOutput has no output {name!r}")


def relative_magnitude(
    magnitude: Float[Array, "b t f"], db_reference: Float[Array, " b"] | None = None
) -> Float[Array, "b t f"]:
    """Magnitudes over `db_reference` (None: the excerpt's maximum). Silence gives 0."""
    top = magnitude.max((1, 2)) if db_reference is None else db_reference
    return magnitude / jnp.maximum(top, jnp.finfo(magnitude.dtype).tiny ** 0.5)[:, None, None]


def relative_db(
    magnitude: Float[Array, "b t f"], db_reference: Float[Array, " b"] | None = None
) -> Float[Array, "b t f"]:
    """(dB + 80) / 80 with dB relative to `db_reference` (None: the excerpt's maximum), at least 0.

    Silence gives 0 everywhere. A reference below the excerpt's maximum gives values above 1.
    """
    floor = 10 ** (-FLOOR_DB / 20)
    relative = relative_magnitude(magnitude, db_reference)
    return 1 + 20 / FLOOR_DB * jnp.log10(jnp.maximum(relative, floor))


class InputAffine(nn.Module):
    """x * scale + shift per frequency bin: the form a normalisation layer takes at rest."""

    @nn.compact
    def __call__(self, x: Float[Array, "b t f"]) -> Float[Array, "b t f"]:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        return x * scale + self.param("shift", nn.initializers.zeros, x.shape[-1:])


class Cerberus(nn.Module):
    """The network. Its heads are named by the losses that train them (`heads.HEADS`).

    Args:
        grid: the analysis grid; it fixes the number of frequency bins.
        instruments: the instrument slots, in order.
        layers, hidden, dropout: the trunk; hidden units are per direction, in 'band_split' half of
            the features that heads read.
        embedding_dim, embedding_activation: the deep-clustering head, 'sigmoid' or 'tanh'.
        mask_activation: the kind of mask (`masks.MASK_KINDS`); 'softmax' masks sum to one.
        heads: losses whose heads exist; by default the three of the paper.
        input_scaling: 'excerpt_db' (relative_db), 'excerpt_db_affine' (the same, then scale and
            shift per bin), 'db_affine' (dB above -80 of magnitudes over the window's sum, then
            scale and shift), 'linear'.
        precision: of the products, 'float32' (the type of the parameters) or 'bfloat16'.
        recurrence: how the trunk's loop is computed (`lstm.BACKENDS`); 'auto' goes by the platform.
        mesh: devices the examples are sharded over when it trains on several, else None.
        trunk_name: the trunk (`trunks.TRUNKS`); its parameters are those of the submodule `trunk`.
        options: of the trunk and of heads that have options of their own: {name: {field: value}}.
        transcribed: the instruments that have a roll, a part of `instruments` in their order; None
            for all.

    Raises:
        ValueError: when called, if an argument is unknown or a head is asked for that it lacks.
    """

    grid: FrameGrid
    instruments: tuple[str, ...]
    layers: int = 4
    hidden: int = 300
    dropout: float = 0.3
    embedding_dim: int = 20
    embedding_activation: str = "sigmoid"
    mask_activation: str = "softmax"
    heads: tuple[str, ...] = PAPER_HEADS
    input_scaling: str = "excerpt_db"
    precision: str = "float32"
    recurrence: str = "auto"
    mesh: Mesh | None = None
    trunk_name: str = "blstm"
    options: Mapping[str, Mapping[str, Any]] = FrozenDict()
    transcribed: tuple[str, ...] | None = None

    def __post_init__(self):
        # A network is a static argument of compiled functions, so all of it must be hashable.
        object.__setattr__(self, "options", freeze(self.options))
        super().__post_init__()

    @property
    def transcribed_slots(self) -> tuple[int, ...]:
        """The slots that have a roll."""
        names = self.instruments if self.transcribed is None else self.transcribed
        return tuple(self.instruments.index(name) for name in names)

    @property
    def transcribed_instruments(self) -> tuple[str, ...]:
        """The instruments that have a roll, in the order of the rolls."""
        return self.instruments if self.transcribed is None else self.transcribed

    def head_objects(self) -> dict[str, Head]:
        """The heads in use by name, with the default options of their losses."""
        context = Context(
            num_sources=len(self.instruments),
            num_transcribed=len(self.transcribed_instruments),
            num_bins=self.grid.num_bins,
            grid=self.grid,
            features=TRUNKS[self.trunk_name].GIVES,
            precision=self.precision,
        )
        return {
            name: head(context=context, **self._options_of(name, head))
            for name, head in HEADS.items()
            if name in self.heads
        }

    def _options_of(self, name, cls) -> dict[str, Any]:
        """The options of a trunk or head: fields of the network, and those under its own name."""
        return {field: getattr(self, field) for field in cls.MODEL_FIELDS} | dict(
            self.options.get(name, {})
        )

    def setup(self):
        check_arguments(self)
        trunk = TRUNKS[self.trunk_name]
        self.trunk = trunk(
            grid=self.grid,
            precision=self.precision,
            recurrence=self.recurrence,
            mesh=self.mesh,
            **self._options_of(self.trunk_name, trunk),
        )
        if self.input_scaling.endswith("affine"):
            self.input_affine = InputAffine()
        for head in self.head_objects().values():
            setattr(self, head.submodule, head.module())

    def features(
        self,
        mixture_magnitude: Float[Array, "b t f"],
        *,
        train: bool,
        db_reference: Float[Array, " b"] | None = None,
    ) -> dict[str, Float[Array, "b t ..."]]:
        """The trunk's features by name; 'features' [b t k] are among them."""
        inputs = {
            name: getattr(self, f"_{name}")(mixture_magnitude, db_reference)
            for name in TRUNKS[self.trunk_name].INPUTS
        }
        return self.trunk(inputs, train=train)

    def _relative_magnitude(self, magnitude, db_reference):
        return relative_magnitude(magnitude, db_reference)

    def _scaled(self, magnitude, db_reference):
        if self.input_scaling == "linear":
            return magnitude
        if self.input_scaling == "db_affine":
            amplitude = magnitude * (2 / self.grid.window)  # over the sum of the window, as SciPy
            return self.input_affine(20 * jnp.log10(jnp.maximum(amplitude, 1e-4)))
        scaled = relative_db(magnitude, db_reference)
        return self.input_affine(scaled) if self.input_scaling.endswith("affine") else scaled

    def __call__(
        self,
        mixture_magnitude: Float[Array, "b t f"],
        *,
        train: bool,
        db_reference: Float[Array, " b"] | None = None,
        heads: tuple[str, ...] | None = None,
    ) -> CerberusOutput:
        """The outputs of the heads for a batch of mixtures.

        Args:
            mixture_magnitude: magnitude spectra of the mixtures.
            train: dropout on; a 'dropout' key is then needed.
            db_reference: the magnitude that counts as 0 dB; None is each excerpt's own maximum.
            heads: the losses whose heads to compute; None is all that exist.
        """
        asked_for = self.heads if heads is None else heads
        if missing := set(asked_for) - set(self.heads):
            raise ValueError(f"heads: {sorted(missing)} asked for, this network has {self.heads}")
        features = self.features(mixture_magnitude, train=train, db_reference=db_reference)
        outputs = {}
        for name, head in self.head_objects().items():
            if name in asked_for or self.is_initializing():
                outputs[head.output] = head.activate(self._raw(head, features))
        return CerberusOutput(outputs)

    def _raw(self, head, features):
        module = getattr(self, head.submodule)
        if head.is_linear:
            return head.raw(module(features[FEATURES].shape[-1]), features)
        return module({name: features[name] for name in head.reads})


def check_arguments(model: Cerberus) -> None:
    """Raise a ValueError that names an argument of the network that is none of those known."""
    allowed = {
        "trunk_name": TRUNKS,
        "input_scaling": INPUT_SCALINGS,
        "precision": PRECISIONS,
        "recurrence": BACKENDS,
    }
    for name, values in allowed.items():
        if getattr(model, name) not in values:
            raise ValueError(f"{name}: one of {sorted(values)}, got {getattr(model, name)!r}")
    if not model.heads or set(model.heads) - set(HEADS):
        raise ValueError(f"heads: a non-empty part of {tuple(HEADS)}, got {model.heads}")
    for head in model.head_objects().values():
        for name, values in head.choices().items():
            if getattr(head, name) not in values:
                raise ValueError(f"{name}: one of {sorted(values)}, got {getattr(head, name)!r}")
    for name, head in model.head_objects().items():
        check_features(name, head, model.trunk_name)


def check_features(name: str, head: Head, trunk_name: str) -> None:
    """Raise a ValueError that names a head which reads features that the trunk does not give."""
    gives = TRUNKS[trunk_name].GIVES
    if missing := [feature for feature in head.reads if feature not in gives]:
        raise ValueError(
            f"the head {name} reads {', '.join(missing)}, and the trunk {trunk_name} gives "
            f"{', '.join(gives)}; choose another trunk, or options of the head with which it "
            "reads no more than that"
        )
