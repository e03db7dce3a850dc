"""The project's only short-time Fourier transform and its inverse.

The convention is that of `torch.stft(center=True)` with a periodic Hann window: frames are centred
on multiples of the hop, the signal is reflected at its ends, nothing is normalised. A signal too
short to be reflected (at most half a window) is padded with zeros instead.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.shapes import check_rank

# Samples that only the rim of one window reaches are faded out instead of amplified without bound.
# This touches the end of a signal, and only where the hop is half a window.
MIN_NORM = 1e-3


def hann(window: int) -> Float[np.ndarray, " window"]:
    """Periodic Hann window in float64."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)


def stft(waveform: Float[Array, "*a n"], grid: FrameGrid) -> Complex[Array, "*a t f"]:
    """Spectra of the frames of `waveform`, t = grid.num_frames(n), f = grid.num_bins.

    Raises:
        ValueError: if the waveform has no samples.
    """
    check_rank("stft: waveform", waveform, ("n",), leading=True)
    num_samples = waveform.shape[-1]
    if num_samples == 0:
        raise ValueError("stft: the waveform is empty; at least one sample is needed")
    half = grid.window // 2
    num_frames = grid.num_frames(num_samples)
    lead = [(0, 0)] * (waveform.ndim - 1)
    mode = "reflect" if num_samples > half else "constant"
    padded = jnp.pad(waveform, [*lead, (half, half)], mode=mode)
    return jnp.fft.rfft(frame(padded, grid, num_frames=num_frames) * _window_like(waveform, grid))


def frame(
    padded: Float[Array, "*a n"], grid: FrameGrid, *, num_frames: int
) -> Float[Array, "*a t window"]:
    """Overlapping frames of an already padded signal, put together from hop-sized blocks."""
    overlap = grid.window // grid.hop
    num_blocks = num_frames + overlap - 1
    blocks = padded[..., : num_blocks * grid.hop]
    blocks = blocks.reshape(*padded.shape[:-1], num_blocks, grid.hop)
    return jnp.concatenate([blocks[..., k : k + num_frames, :] for k in range(overlap)], axis=-1)


def istft(
    spectrum: Complex[Array, "*a t f"], grid: FrameGrid, num_samples: int
) -> Float[Array, "*a n"]:
    """The waveform of `num_samples` samples whose frames come closest to `spectrum`.

    Windowed overlap-add divided by the summed squares of the windows (Griffin and Lim, 1984).

    Raises:
        ValueError: if the spectrum does not have the grid's bins, or not the frames of num_samples.
    """
    check_rank("istft: spectrum", spectrum, ("t", "f"), leading=True)
    num_frames, num_bins = spectrum.shape[-2:]
    if (num_frames, num_bins) != (grid.num_frames(num_samples), grid.num_bins):
        raise ValueError(
            f"istft: {num_samples} samples have {grid.num_frames(num_samples)} frames of "
            f"{grid.num_bins} bins, got a spectrum of {num_frames} frames of {num_bins} bins"
        )
    frames = jnp.fft.irfft(spectrum, grid.window)
    signal = overlap_add(frames * _window_like(frames, grid), grid)
    squares = np.broadcast_to(hann(grid.window) ** 2, (num_frames, grid.window))
    norm = np.maximum(_overlap_add_numpy(squares, grid.hop), MIN_NORM)
    half = grid.window // 2
    inside = slice(half, half + num_samples)
    return signal[..., inside] / jnp.asarray(norm[inside], frames.dtype)


def overlap_add(frames: Float[Array, "*a t window"], grid: FrameGrid) -> Float[Array, "*a n"]:
    """Sum of frames placed one hop apart: n = (t - 1) * hop + window samples."""
    overlap = grid.window // grid.hop
    num_frames = frames.shape[-2]
    blocks = frames.reshape(*frames.shape[:-1], overlap, grid.hop)
    lead = [(0, 0)] * (frames.ndim - 2)
    total = sum(
        jnp.pad(blocks[..., k, :], [*lead, (k, overlap - 1 - k), (0, 0)]) for k in range(overlap)
    )
    return total.reshape(*frames.shape[:-2], (num_frames + overlap - 1) * grid.hop)


def _window_like(array, grid):
    return jnp.asarray(hann(grid.window), array.dtype)


def _overlap_add_numpy(frames, hop):
    num_frames, window = frames.shape
    total = np.zeros((num_frames - 1) * hop + window)
    for k in range(num_frames):
        total[k * hop : k * hop + window] += frames[k]
    return total
