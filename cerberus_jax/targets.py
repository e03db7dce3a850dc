"""What the heads are trained towards: from the sources of a mixture, and from its notes.

Every target derives from the one stack of sources, never from a second reading of the data, so a
gain or a shift reaches the spectra, the assignment and the rolls alike.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Complex, Float, Inexact, Int, Int16, Shaped

from cerberus_jax.equaliser import OCTAVES_HZ, curve_weights
from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES
from cerberus_jax.shapes import check_rank, check_shape
from cerberus_jax.stft import stft


class Mixture(NamedTuple):
    """A batch of mixtures, of which every head makes its targets.

    Args:
        spectrum: of the mixture, the sum of its sources.
        source_spectra: those of the sources.
        notes: (first frame, end frame, MIDI pitch) of the transcribed sources; one that began
            before the excerpt has a negative first frame.
        labelled: whether the notes of a transcribed source are known; None where all are.
    """

    spectrum: Complex[Array, "b t f"]
    source_spectra: Complex[Array, "b s t f"]
    notes: Shaped[Array, "b r m 3"]
    labelled: Bool[Array, "b r"] | None = None


def source_waveforms(
    sources: Int16[Array, "b s n"], gains: Float[Array, "b s"]
) -> Float[Array, "b s n"]:
    """16-bit samples times linear gains, full scale being one. The mixture is the sum over s."""
    return sources.astype(gains.dtype) * (gains / 32768)[..., None]


def _phase_sensitive(mixture_spectrum, source_spectra):
    magnitude = jnp.abs(mixture_spectrum)
    phase = mixture_spectrum / jnp.maximum(magnitude, jnp.finfo(magnitude.dtype).tiny ** 0.5)
    projected = (source_spectra * jnp.conj(phase)[:, None]).real
    return jnp.clip(projected, 0, magnitude[:, None])


REAL_MASK_TARGETS = ("phase_sensitive", "magnitude")
MASK_TARGETS: dict[str, Callable] = {
    "phase_sensitive": _phase_sensitive,
    "magnitude": lambda mixture_spectrum, source_spectra: jnp.abs(source_spectra),
    "spectrum": lambda mixture_spectrum, source_spectra: source_spectra,
}


def mask_targets(
    mixture_spectrum: Complex[Array, "b t f"],
    source_spectra: Complex[Array, "b s t f"],
    *,
    kind: str,
) -> Inexact[Array, "b s t f"]:
    """What the masked mixture should be.

    'phase_sensitive': |S| cos(angle between S and X), cut to 0..|X|, which masks that sum to one
    can reach (Erdogan et al., 2015). 'magnitude': |S|. 'spectrum': S, for complex masks.
    """
    if kind not in MASK_TARGETS:
        raise ValueError(f"mask_target: one of {tuple(MASK_TARGETS)}, got {kind!r}")
    return MASK_TARGETS[kind](mixture_spectrum, source_spectra)


def dominant_source(target_magnitude: Float[Array, "b s t f"]) -> Int[Array, "b t f"]:
    """Index of the loudest source of each bin (the first of equals)."""
    return jnp.argmax(target_magnitude, axis=1)


def bin_weights(mixture_magnitude: Float[Array, "b t f"]) -> Float[Array, "b t f"]:
    """Square roots of the magnitudes relative to the excerpt's mean; zero on silence."""
    mean = mixture_magnitude.mean((1, 2), keepdims=True)
    return jnp.sqrt(mixture_magnitude / jnp.maximum(mean, jnp.finfo(mean.dtype).tiny ** 0.5))


def draw_rolls(notes: Shaped[Array, "b s m 3"], num_frames: int) -> Bool[Array, "b s t p"]:
    """Piano rolls of notes given as (first frame, end frame, MIDI pitch), end excluded.

    The frame before a repeated onset of the same pitch is cleared, so that repeats can be told
    apart. A note with end <= first is empty; unused rows are such notes. One that began before the
    first frame begins in it.
    """
    first, end, pitch = (notes[..., k].astype(jnp.int32) for k in range(3))
    first = jnp.maximum(first, 0)
    is_note = (end > first).astype(jnp.int32)
    key = jnp.clip(pitch - LOWEST_PITCH, 0, NUM_PITCHES - 1)
    b, s = jnp.indices(notes.shape[:2])
    b, s = b[..., None], s[..., None]
    empty = jnp.zeros((*notes.shape[:2], num_frames + 1, NUM_PITCHES), jnp.int32)
    onset = empty.at[b, s, first, key].add(is_note, mode="drop")
    change = onset.at[b, s, end, key].add(-is_note, mode="drop")
    active = jnp.cumsum(change, axis=2)[:, :, :num_frames] > 0
    begins = onset > 0
    return begins[:, :, :num_frames] | (active & ~begins[:, :, 1:])


def draw_onsets(notes: Shaped[Array, "b s m 3"], num_frames: int) -> Bool[Array, "b s t p"]:
    """Where the notes of `draw_rolls` begin. One that began before the first frame has no onset."""
    first, end, pitch = (notes[..., k].astype(jnp.int32) for k in range(3))
    key = jnp.clip(pitch - LOWEST_PITCH, 0, NUM_PITCHES - 1)
    b, s = jnp.indices(notes.shape[:2])
    onsets = jnp.zeros((*notes.shape[:2], num_frames, NUM_PITCHES), jnp.bool_)
    frame = jnp.where(first >= 0, first, num_frames)  # -1 would be the last frame
    return onsets.at[b[..., None], s[..., None], frame, key].max(end > first, mode="drop")


def soften_onsets(onsets: Bool[Array, "b s t p"], width: int) -> Shaped[Array, "b s t p"]:
    """Triangles on the onsets: 1 - |frames to the nearest onset| / width, at least 0.

    Labels are often a frame early or late; a wider target costs a near miss less than a far one.
    A width of 1 changes nothing.
    """
    num_frames = onsets.shape[2]
    if width == 1:
        return onsets
    padded = jnp.pad(onsets, ((0, 0), (0, 0), (width - 1, width - 1), (0, 0)))
    shifted = (
        (1 - abs(k) / width) * padded[:, :, width - 1 + k : width - 1 + k + num_frames]
        for k in range(1 - width, width)
    )
    return functools.reduce(jnp.maximum, shifted)


def make_targets(
    sources: Float[Array, "b s n"],
    notes: Shaped[Array, "b s m 3"],
    *,
    grid: FrameGrid,
    heads: Iterable[Any],
    transcribed: Sequence[int] | None = None,
    labelled: Bool[Array, "b s"] | None = None,
    equalisers: Float[Array, "b s k"] | None = None,
) -> dict[str, Array]:
    """All targets of a batch of waveforms and notes; the mixture is the sum of the sources.

    Args:
        sources, notes: of the batch.
        grid: the analysis grid.
        heads: whose targets are made (`heads.Head`).
        transcribed: the slots that have a roll; None for all.
        labelled: whether the notes of a source are known; None where all are.
        equalisers: what each source is filtered by, dB at `equaliser.OCTAVES_HZ`; None for nothing.

    Raises:
        ValueError: if an array has another shape.

    Returns:
        `mixture_magnitude` [b t f], and the targets of every head by their names.
    """
    check_rank("make_targets: sources", sources, ("b", "s", "n"))
    check_rank("make_targets: notes", notes, ("b", "s", "m", "3"))
    b, s = sources.shape[:2]
    check_shape("make_targets: notes", notes, (b, s, notes.shape[2], 3))
    if labelled is not None:
        check_shape("make_targets: labelled", labelled, (b, s))
    spectra = stft(sources, grid)
    if equalisers is not None:
        check_shape("make_targets: equalisers", equalisers, (b, s, len(OCTAVES_HZ)))
        curves = equalisers @ jnp.asarray(curve_weights(grid), equalisers.dtype)
        spectra = spectra * (10 ** (curves / 20))[:, :, None]
    if transcribed is not None and len(transcribed) < sources.shape[1]:
        slots = jnp.asarray(transcribed, jnp.int32)
        notes = notes[:, slots]
        labelled = None if labelled is None else labelled[:, slots]
    mixture = Mixture(spectra.sum(1), spectra, notes, labelled)
    targets = {"mixture_magnitude": jnp.abs(mixture.spectrum)}
    for head in heads:
        targets |= head.targets(mixture)
    return targets
