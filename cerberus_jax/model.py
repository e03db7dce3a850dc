"""Cerberus: input features, trunk, and the heads in use (Manilow, Seetharaman, Pardo, 2020).

The input scaling stands here, so that no caller can forget it: decibels relative to the clip's
maximum (or to `reference`), floored at -80 dB, mapped to 0..1.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads import (
    EMBEDDING_ACTIVATIONS,
    HEAD_OF_LOSS,
    MASK_ACTIVATIONS,
    Head,
    embed,
    linear,
    masks,
)
from cerberus_jax.lstm import BACKENDS
from cerberus_jax.notes import NUM_PITCHES
from cerberus_jax.products import PRECISIONS
from cerberus_jax.trunk import Trunk

FLOOR_DB = 80.0
INPUT_SCALINGS = ("excerpt_db", "excerpt_db_affine", "db_affine", "linear")


@struct.dataclass
class CerberusOutput:
    """What the heads say; None for a head that is absent or was not asked for.

    A pytree may also hold shapes or shardings in place of arrays, hence the open types.
    """

    embedding: Any = None  # float [b t f d]
    mask: Any = None  # float [b s t f]
    roll_logits: Any = None  # float [b s t p]


def relative_db(
    magnitude: Float[Array, "b t f"], reference: Float[Array, " b"] | None = None
) -> Float[Array, "b t f"]:
    """(dB + 80) / 80 with dB relative to `reference` (None: the clip's maximum), at least 0.

    Silence gives 0 everywhere. A reference below the clip's maximum gives values above 1.
    """
    top = magnitude.max((1, 2)) if reference is None else reference
    top = jnp.maximum(top, jnp.finfo(magnitude.dtype).tiny ** 0.5)[:, None, None]
    floor = 10 ** (-FLOOR_DB / 20)
    return 1 + 20 / FLOOR_DB * jnp.log10(jnp.maximum(magnitude / top, floor))


class InputAffine(nn.Module):
    """x * scale + shift per frequency bin: the form a normalisation layer takes at rest."""

    @nn.compact
    def __call__(self, x: Float[Array, "b t f"]) -> Float[Array, "b t f"]:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        return x * scale + self.param("shift", nn.initializers.zeros, x.shape[-1:])


class Cerberus(nn.Module):
    """The network. Its heads are named by the losses that train them (`heads.HEAD_OF_LOSS`).

    Args:
        grid: the analysis grid; it fixes the number of frequency bins.
        instruments: the instrument slots, in order.
        layers, hidden, dropout: the trunk; hidden units are per direction.
        embedding_dim, embedding_activation: the deep-clustering head, 'sigmoid' or 'tanh'.
        mask_activation: 'softmax' (masks sum to one) or 'sigmoid'.
        heads: losses whose heads exist.
        input_scaling: 'excerpt_db' (relative_db), 'excerpt_db_affine' (the same, then scale and
            shift per bin), 'db_affine' (absolute dB above -80, then scale and shift), 'linear'.
        precision: of the products, 'float32' (the type of the parameters) or 'bfloat16'.
        recurrence: how the trunk's loop is computed (`lstm.BACKENDS`); 'auto' goes by the backend.
        mesh: devices the examples are spread over when it trains on several, else None.

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
    heads: tuple[str, ...] = tuple(HEAD_OF_LOSS)
    input_scaling: str = "excerpt_db"
    precision: str = "float32"
    recurrence: str = "auto"
    mesh: Mesh | None = None

    def head_shapes(self) -> dict[str, tuple[int, int]]:
        """Outputs per frame of each head in use, by submodule name."""
        num_sources, num_bins = len(self.instruments), self.grid.num_bins
        shapes = {
            "embedding_head": (self.embedding_dim, num_bins),
            "mask_head": (num_sources, num_bins),
            "transcription_head": (num_sources, NUM_PITCHES),
        }
        return {HEAD_OF_LOSS[loss]: shapes[HEAD_OF_LOSS[loss]] for loss in self.heads}

    def setup(self):
        _check(self)
        self.trunk = Trunk(
            self.layers, self.hidden, self.dropout, self.precision, self.recurrence, self.mesh
        )
        if self.input_scaling.endswith("affine"):
            self.input_affine = InputAffine()
        for name, shape in self.head_shapes().items():
            setattr(self, name, Head(shape))

    def features(
        self,
        mixture_magnitude: Float[Array, "b t f"],
        *,
        train: bool,
        reference: Float[Array, " b"] | None = None,
    ) -> Float[Array, "b t k"]:
        """The trunk's output, k = 2 * hidden."""
        return self.trunk(self._scaled_input(mixture_magnitude, reference), train=train)

    def _scaled_input(self, magnitude, reference):
        if self.input_scaling == "linear":
            return magnitude
        if self.input_scaling == "db_affine":
            return self.input_affine(20 * jnp.log10(jnp.maximum(magnitude, 1e-4)))
        scaled = relative_db(magnitude, reference)
        return self.input_affine(scaled) if self.input_scaling == "excerpt_db_affine" else scaled

    def __call__(
        self,
        mixture_magnitude: Float[Array, "b t f"],
        *,
        train: bool,
        reference: Float[Array, " b"] | None = None,
        heads: tuple[str, ...] | None = None,
    ) -> CerberusOutput:
        """Embedding, masks and roll logits of a batch of mixtures.

        Args:
            mixture_magnitude: magnitude spectra of the mixtures.
            train: dropout on; a 'dropout' key is then needed.
            reference: the magnitude that counts as 0 dB; None is each clip's own maximum.
            heads: the losses whose heads to compute; None is all that exist.
        """
        wanted = self.heads if heads is None else heads
        if missing := set(wanted) - set(self.heads):
            raise ValueError(f"heads: {sorted(missing)} asked for, this network has {self.heads}")
        features = self.features(mixture_magnitude, train=train, reference=reference)
        return CerberusOutput(*(self._output(loss, features, wanted) for loss in HEAD_OF_LOSS))

    def _output(self, loss, features, wanted):
        if loss not in wanted and not (self.is_initializing() and loss in self.heads):
            return None
        params = getattr(self, HEAD_OF_LOSS[loss])(features.shape[-1])
        if loss == "deep_clustering":
            vectors = embed(
                params, features, activation=self.embedding_activation, precision=self.precision
            )
            return vectors.swapaxes(2, 3)
        if loss == "mask_inference":
            mask = masks(
                params, features, activation=self.mask_activation, precision=self.precision
            )
            return mask.swapaxes(1, 2)
        return linear(params, features, precision=self.precision).swapaxes(1, 2)


def _check(model):
    known = {
        "embedding_activation": EMBEDDING_ACTIVATIONS,
        "mask_activation": MASK_ACTIVATIONS,
        "input_scaling": INPUT_SCALINGS,
        "precision": PRECISIONS,
        "recurrence": BACKENDS,
    }
    for name, values in known.items():
        if getattr(model, name) not in values:
            raise ValueError(f"{name}: one of {sorted(values)}, got {getattr(model, name)!r}")
    if not model.heads or set(model.heads) - set(HEAD_OF_LOSS):
        raise ValueError(f"heads: a non-empty part of {tuple(HEAD_OF_LOSS)}, got {model.heads}")
