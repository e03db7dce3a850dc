"""The transform against numpy, torch and itself."""

import os

import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.stft import hann, istft, overlap_add, stft

GRID = FrameGrid()


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 511, 512, 513, 1999])
def test_stft_equals_frame_by_frame_numpy(num_samples):
    waveform = _noise(num_samples)
    mode = "reflect" if num_samples > 512 else "constant"
    padded = np.pad(waveform, 512, mode=mode)
    starts = range(0, 256 * GRID.num_frames(num_samples), 256)
    expected = [np.fft.rfft(padded[k : k + 1024] * hann(1024)) for k in starts]
    np.testing.assert_allclose(stft(jnp.asarray(waveform), GRID), expected, atol=1e-4)


def _lengths():
    """Every length up to 2000 compiles for minutes; by default every 97th, and those where
    something changes. STFT_LENGTH_STRIDE=1 takes them all."""
    stride = int(os.environ.get("STFT_LENGTH_STRIDE", "97"))
    return sorted({*range(1, 2001, stride), 255, 256, 257, 511, 512, 513, 1023, 1024, 2000})


def test_istft_undoes_stft_for_lengths_to_2000():
    for num_samples in _lengths():
        waveform = _noise(num_samples, seed=num_samples)
        again = istft(stft(jnp.asarray(waveform), GRID), GRID, num_samples)
        np.testing.assert_allclose(again, waveform, atol=1e-5, err_msg=f"{num_samples} samples")


@pytest.mark.parametrize("hop", [256, 512])
@pytest.mark.parametrize("num_samples", [1, 257, 512, 1023, 1537])
def test_round_trip_in_jax(num_samples, hop):
    grid = FrameGrid(hop=hop)
    waveform = _noise(2, num_samples)
    again = istft(stft(jnp.asarray(waveform), grid), grid, num_samples)
    # With a hop of half a window its rim alone reaches the end of some lengths: faded, not exact.
    exact = num_samples if hop == 256 else num_samples - max(num_samples % hop - hop // 2, 0)
    np.testing.assert_allclose(again[:, :exact], waveform[:, :exact], atol=2e-5)
    assert np.abs(again).max() <= np.abs(waveform).max() + 2e-5


def test_agrees_with_torch_for_lengths_to_2000():
    torch = pytest.importorskip("torch", reason="torch, the second implementation, is not here")
    for num_samples in _lengths():
        waveform = _noise(num_samples, seed=num_samples)
        theirs = torch.stft(
            torch.from_numpy(waveform),
            GRID.window,
            GRID.hop,
            window=torch.hann_window(GRID.window),
            center=True,
            pad_mode="reflect" if num_samples > GRID.window // 2 else "constant",
            return_complex=True,
        )
        ours = stft(jnp.asarray(waveform), GRID)
        np.testing.assert_allclose(
            ours, theirs.numpy().T, atol=1e-4, err_msg=f"{num_samples} samples"
        )


def test_impulse_peaks_in_its_own_frame():
    waveform = np.zeros(4096, np.float32)
    waveform[5 * 256] = 1
    magnitude = np.abs(stft(jnp.asarray(waveform), GRID))
    assert magnitude.sum(1).argmax() == 5


def test_overlap_add_equals_a_loop():
    grid = FrameGrid(window=8, hop=2)
    frames = _noise(3, 5, 8)
    expected = np.zeros((3, 16))
    for k in range(5):
        expected[:, 2 * k : 2 * k + 8] += frames[:, k]
    np.testing.assert_allclose(overlap_add(jnp.asarray(frames), grid), expected, rtol=1e-6)


def test_an_empty_waveform_is_refused():
    with pytest.raises(ValueError, match="stft: the waveform is empty"):
        stft(jnp.zeros(0), GRID)


def test_a_spectrum_that_does_not_fit_the_length_is_refused():
    with pytest.raises(ValueError, match="istft: 512 samples have 3 frames of 513 bins"):
        istft(jnp.zeros((4, 513), complex), GRID, 512)
