"""The compiled part of a song's way through the network: a few windows, or all of it at once."""

import functools

import jax
import jax.numpy as jnp

from cerberus_jax.references import floored, window_references
from cerberus_jax.steps import masks_and_rolls
from cerberus_jax.stft import frame, hann, stft


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def window_batch(params, audio, loudest, model, context, by_song):
    """Windows [b n] -> masks [b s t f] and rolls [b r t p] of the frames without the context; and
    the loudest bin of the song so far."""
    magnitude = window_spectrum(audio, model.grid)
    inner = slice(context, magnitude.shape[1] - context)
    references, so_far = window_references(magnitude, loudest, model.grid)
    if by_song:
        references, so_far = jnp.full(len(audio), floored(loudest, model.grid)), loudest
    frames = masks_and_rolls(params, magnitude, references, model=model)
    return jax.tree.map(lambda array: array[:, :, inner], frames), so_far


@functools.partial(jax.jit, static_argnums=1)
def window_spectrum(audio, grid):
    """Magnitudes [b t f] of windows, in which nothing is reflected any more."""
    num_frames = (audio.shape[-1] - grid.window) // grid.hop + 1
    taper = jnp.asarray(hann(grid.window), audio.dtype)
    return jnp.abs(jnp.fft.rfft(frame(audio, grid, num_frames=num_frames) * taper))


@functools.partial(jax.jit, static_argnums=2)
def whole_masks(params, audio, model):
    magnitude = jnp.abs(stft(audio, model.grid))
    reference = floored(magnitude.max((1, 2)), model.grid)
    return masks_and_rolls(params, magnitude, reference, model=model)
