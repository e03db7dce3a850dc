"""What the heads are trained towards: from the sources of a mixture, and from its notes.

Every target derives from the one stack of sources, never from a second reading of the data, so a
gain or a shift reaches the spectra, the assignment and the rolls alike.
"""

from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Int16, Shaped

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES
from cerberus_jax.stft import stft

MASK_TARGETS = ("phase_sensitive", "magnitude")


@struct.dataclass
class Targets:
    """Targets of a batch; `assignment` holds the index of each bin's dominant source.

    A pytree may also hold shapes or shardings in place of arrays, hence the open types.
    """

    mixture_magnitude: Any  # float [b t f]
    target_magnitude: Any  # float [b s t f]
    assignment: Any  # int [b t f]
    roll: Any  # bool [b s t p]


def source_waveforms(
    sources: Int16[Array, "b s n"], gains: Float[Array, "b s"]
) -> Float[Array, "b s n"]:
    """16-bit samples times linear gains, full scale being one. The mixture is the sum over s."""
    return sources.astype(gains.dtype) * (gains / 32768)[..., None]


def mask_targets(mixture_spectrum, source_spectra, *, kind: str) -> Float[Array, "b s t f"]:
    """Magnitudes the masked mixture should have.

    'phase_sensitive': |S| cos(angle between S and X), cut to 0..|X|, which masks that sum to one
    can reach (Erdogan et al., 2015). 'magnitude': |S|.
    """
    if kind not in MASK_TARGETS:
        raise ValueError(f"mask_target: one of {MASK_TARGETS}, got {kind!r}")
    if kind == "magnitude":
        return jnp.abs(source_spectra)
    magnitude = jnp.abs(mixture_spectrum)
    phase = mixture_spectrum / jnp.maximum(magnitude, jnp.finfo(magnitude.dtype).tiny ** 0.5)
    projected = (source_spectra * jnp.conj(phase)[:, None]).real
    return jnp.clip(projected, 0, magnitude[:, None])


def dominant_source(target_magnitude: Float[Array, "b s t f"]) -> Int[Array, "b t f"]:
    """Index of the loudest source of each bin (the first of equals)."""
    return jnp.argmax(target_magnitude, axis=1)


def bin_weights(mixture_magnitude: Float[Array, "b t f"]) -> Float[Array, "b t f"]:
    """Square roots of the magnitudes relative to the clip's mean; zero on silence."""
    mean = mixture_magnitude.mean((1, 2), keepdims=True)
    return jnp.sqrt(mixture_magnitude / jnp.maximum(mean, jnp.finfo(mean.dtype).tiny ** 0.5))


def draw_rolls(notes: Shaped[Array, "b s m 3"], num_frames: int) -> Bool[Array, "b s t p"]:
    """Piano rolls of notes given as (first frame, end frame, MIDI pitch), end excluded.

    The frame before a repeated onset of the same pitch is cleared, so that repeats can be told
    apart. A note with end <= first is empty; unused rows are such notes.
    """
    first, end, pitch = (notes[..., k].astype(jnp.int32) for k in range(3))
    real = (end > first).astype(jnp.int32)
    key = jnp.clip(pitch - LOWEST_PITCH, 0, NUM_PITCHES - 1)
    b, s = jnp.indices(notes.shape[:2])
    b, s = b[..., None], s[..., None]
    empty = jnp.zeros((*notes.shape[:2], num_frames + 1, NUM_PITCHES), jnp.int32)
    onset = empty.at[b, s, first, key].add(real, mode="drop")
    change = onset.at[b, s, end, key].add(-real, mode="drop")
    active = jnp.cumsum(change, axis=2)[:, :, :num_frames] > 0
    begins = onset > 0
    return begins[:, :, :num_frames] | (active & ~begins[:, :, 1:])


def make_targets(
    sources: Float[Array, "b s n"],
    notes: Shaped[Array, "b s m 3"],
    *,
    grid: FrameGrid,
    mask_target: str,
) -> Targets:
    """All targets of a batch of waveforms and notes; the mixture is the sum of the sources."""
    spectra = stft(sources, grid)
    mixture = spectra.sum(1)
    target = mask_targets(mixture, spectra, kind=mask_target)
    return Targets(
        mixture_magnitude=jnp.abs(mixture),
        target_magnitude=target,
        assignment=dominant_source(target),
        roll=draw_rolls(notes, grid.num_frames(sources.shape[-1])),
    )
