"""The one signal that is analysed of a song's channels, block by block in constant memory.

It is the mean of the channels, sample by sample, unless spectra of long frames show one of two
things that the mean would spoil; only the bins concerned are then changed:

* Channels that cancel: where the power of their sum is far below the sum of their powers (which
  unrelated channels, or a silent one, leave equal), the bins are those of one channel, as loud as
  the mean would be if the channels were in phase.
* Sound below what can be heard, a constant offset above all: where it holds a noticeable part of a
  frame's power, it is left out. Otherwise it would be the loudest bin and stand for 0 dB.

Needs numpy alone, so that data can be prepared by the same rule.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Complex, Float
from numpy.lib.stride_tricks import sliding_window_view

FRAME_SECONDS = 0.3
CANCELLED = 0.1  # of the channels' power is left in their sum: 10 dB less than of unrelated ones
LOWEST_HZ = 20.0
SUBSONIC = 0.05  # of a frame's power
NOTICEABLE = 0.01  # of a song's power, from which on something is said
# Bins whose powers are compared together. The sum of two channels of unrelated noise, about ten
# independent values of each, falls below CANCELLED once in 10^8 bands.
_BAND = 16
_OVERLAP = 4
_NORM = 1.5  # sum of the squared Hann windows over a sample
_QUIETEST = 1e-10  # power of a band over that of the frame's loudest
_STEP_OF_16_BITS = 2.0**-15
_MAX_VALUES = 1 << 18  # of all channels that are looked at together


class AnalysisSignal:
    """Makes the analysis signal of one song and remembers what had to be changed.

    Args:
        sample_rate_hz: of the song.
    """

    def __init__(self, sample_rate_hz: int):
        self.sample_rate_hz = sample_rate_hz
        self._window = max(1 << round(np.log2(FRAME_SECONDS * sample_rate_hz)), 4 * _BAND)
        self._hop = self._window // _OVERLAP
        self._taper = np.hanning(self._window + 1)[:-1].astype(np.float32)
        # Bins below LOWEST_HZ; an offset reaches two of them.
        self._num_low = int(np.ceil(LOWEST_HZ * self._window / sample_rate_hz))
        # What rounding to 16 bits leaves in a bin, and 10 dB more.
        self._noise = 10 * _STEP_OF_16_BITS**2 * float(np.square(self._taper).sum())
        self._power = self._cancelled = self._power_of_sum = self._subsonic = 0.0

    @property
    def cancelled(self) -> float:
        """The part of the channels' power, so far, that their mean would have lost."""
        return self._cancelled / max(self._power, np.finfo(float).tiny)

    @property
    def subsonic(self) -> float:
        """The part of the mean's power, so far, that was left out as too low to be heard."""
        return self._subsonic / max(self._power_of_sum, np.finfo(float).tiny)

    def doubts(self) -> list[str]:
        """A sentence for each thing that had to be changed in a noticeable part of the song."""
        doubts = []
        if self.cancelled > NOTICEABLE:
            doubts.append(
                f"channels out of phase: their mean loses {self.cancelled:.0%} of their power; "
                "it is taken from one of them instead"
            )
        if self.subsonic > NOTICEABLE:
            doubts.append(
                f"an offset, or sound below {LOWEST_HZ:g} Hz, holds {self.subsonic:.0%} of the "
                "power; it is left out of the analysis"
            )
        return doubts

    def of(self, blocks: Iterable[Float[np.ndarray, "c _"]]) -> Iterator[Float[np.ndarray, " _"]]:
        """Consecutive samples, together as many as the song has.

        Args:
            blocks: the song, in blocks of any lengths.

        Raises:
            ValueError: if a sample is not finite, or blocks differ in their channels.
        """
        num_left = self._window - self._hop  # of the mirrored samples before the song
        for mono in self._from_mirrored(_pieces(blocks)):
            if len(mono) > num_left:
                yield mono[num_left:]
            num_left = max(num_left - len(mono), 0)

    def _from_mirrored(self, pieces):
        """The samples of the song and as many before them as all frames need."""
        lead = self._window - self._hop
        self._sums = np.zeros(self._window, np.float32)
        samples, begun = None, False
        for piece in pieces:
            samples = piece if samples is None else np.concatenate([samples, piece], axis=1)
            if not begun and samples.shape[1] >= lead:
                samples, begun = _mirrored(samples, lead, 0), True
            count = (samples.shape[1] - self._window) // self._hop + 1 if begun else 0
            if count > 0:
                yield self._complete(samples, count)
                samples = samples[:, count * self._hop :]
        if samples is None or not samples.shape[1]:
            return
        samples = samples if begun else _mirrored(samples, lead, 0)
        length = samples.shape[1]
        count = -(-length // self._hop)
        samples = _mirrored(samples, 0, (count - 1) * self._hop + self._window - length)
        yield self._complete(samples, count)[:length]

    def _complete(self, samples: Float[np.ndarray, "c _"], count: int) -> Float[np.ndarray, " _"]:
        """The samples to which, once the next `count` frames are in, nothing will be added."""
        frames = sliding_window_view(samples, self._window, axis=1)[:, :: self._hop][:, :count]
        length = count * self._hop
        sums = np.pad(self._sums, (0, length))
        for k, correction in self._corrections(frames):
            sums[k * self._hop : k * self._hop + self._window] += correction
        self._sums = sums[length:]
        return samples[:, :length].mean(0) + sums[:length]

    def _corrections(self, frames: Float[np.ndarray, "c k w"]) -> Iterator[tuple[int, np.ndarray]]:
        """What is to be added to the mean, for each frame (by its number) where anything is."""
        spectra = np.fft.rfft(frames * self._taper)
        powers = _band_powers(spectra, self._num_low)
        total_spectrum = spectra.sum(0)
        of_sum = _band_powers(total_spectrum, self._num_low)
        cancelled = self._cancelled_bands(powers, of_sum)
        low_power = _power(total_spectrum[:, : self._num_low])
        is_low = self._has_subsonic(low_power, of_sum.sum(-1), len(spectra))
        for k in np.flatnonzero(cancelled.any(-1) | is_low).tolist():
            mean = total_spectrum[k] / np.float32(len(spectra))
            wanted = _filled(spectra[:, k], mean, powers[:, k], cancelled[k])
            wanted[: self._num_low] = 0 if is_low[k] else mean[: self._num_low]
            correction = np.fft.irfft(wanted - mean, self._window).astype(np.float32)
            yield k, correction * (self._taper / np.float32(_NORM))

    def _cancelled_bands(
        self, powers: Float[np.ndarray, "c k b"], of_sum: Float[np.ndarray, "k b"]
    ) -> Bool[np.ndarray, "k b"]:
        """Where the channels cancel each other."""
        total = powers.sum(0)
        noise = len(powers) * _BAND * self._noise
        quietest = np.maximum(noise, _QUIETEST * total.max(-1, keepdims=True))
        cancelled = (of_sum < CANCELLED * total) & (total > quietest)
        self._power += float(total.sum(dtype=np.float64))
        self._cancelled += float(total[cancelled].sum(dtype=np.float64))
        return cancelled

    def _has_subsonic(
        self, low: Float[np.ndarray, " k"], rest: Float[np.ndarray, " k"], num_channels: int
    ) -> Bool[np.ndarray, " k"]:
        """Where what lies below LOWEST_HZ is a noticeable part of a frame."""
        noise = num_channels**2 * self._num_low * self._noise
        is_low = (low > SUBSONIC * (low + rest)) & (low > noise)
        self._power_of_sum += float((low + rest).sum(dtype=np.float64))
        self._subsonic += float(low[is_low].sum(dtype=np.float64))
        return is_low


def _filled(
    spectra: Complex[np.ndarray, "c f"],
    mean: Complex[np.ndarray, " f"],
    powers: Float[np.ndarray, "c b"],
    cancelled: Bool[np.ndarray, " b"],
) -> Complex[np.ndarray, " f"]:
    """The mean of a frame, in the cancelled bands a channel in its place."""
    # Of the loud channels the first: which is the loudest may change from band to band.
    bands = np.flatnonzero(cancelled)
    powers = powers[:, bands]
    channel = (powers >= powers.max(0) / 4).argmax(0)
    amplitudes = np.sqrt(powers)
    gains = amplitudes.mean(0) / amplitudes[channel, np.arange(len(bands))]
    wanted = mean.copy()
    of_channels = spectra[:, :-1].reshape(len(spectra), -1, _BAND)
    wanted[:-1].reshape(-1, _BAND)[bands] = gains[:, None] * of_channels[channel, bands]
    return wanted


def _power(spectrum: Complex[np.ndarray, "*a f"]) -> Float[np.ndarray, "*a"]:
    return np.square(spectrum.real).sum(-1) + np.square(spectrum.imag).sum(-1)


def _band_powers(spectra: Complex[np.ndarray, "*a f"], num_low: int) -> Float[np.ndarray, "*a b"]:
    """Power of consecutive bands, without the `num_low` lowest bins and the topmost."""
    bands = np.ascontiguousarray(spectra[..., :-1]).view(spectra.real.dtype)
    bands = bands.reshape(*spectra.shape[:-1], -1, 2 * _BAND)
    powers = np.einsum("...n,...n->...", bands, bands)
    powers[..., 0] = _power(spectra[..., num_low:_BAND])
    return powers


def _pieces(blocks):
    """The same samples in pieces of bounded size; checked."""
    num_channels = None
    for block in blocks:
        num_channels = num_channels or len(block)
        if len(block) != num_channels:
            raise ValueError(f"blocks: {num_channels} channels expected, got {len(block)}")
        if not np.isfinite(block).all():
            raise ValueError("blocks: every sample must be finite, got NaN or infinity")
        size = max(_MAX_VALUES // num_channels, 1)
        for first in range(0, block.shape[1], size):
            yield np.asarray(block[:, first : first + size], np.float32)


def _mirrored(samples, before, after):
    return np.pad(samples, ((0, 0), (before, after)), mode="symmetric")

