"""The one signal that is analysed of a song's channels, block by block in constant memory.

It is the mean of the channels, sample by sample, unless spectra of long frames show one of two
things that the mean would spoil; only the bins concerned are then changed, and no sample of a song
in which neither is found:

* Channels that cancel: where the power of their sum is below the sum of their powers (which
  unrelated channels, or a silent one, leave equal), the bins are those of one channel, as loud as
  the mean would be if the channels were in phase. Bands of bins in which next to nothing is left
  tell that they do; then those count too in which something else is in phase and hides it.
* Sound below what can be heard, a constant offset above all: where it holds a noticeable part of a
  frame's power, it is left out. Otherwise it would be the loudest bin and stand for 0 dB. It is
  taken from the channels too: shared among stems by masks that change, it would be heard in all.

Needs numpy alone, so that data can be prepared by the same rule.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Complex, Float
from numpy.lib.stride_tricks import sliding_window_view

FRAME_SECONDS = 0.3
# Power of the channels' sum over the sum of their powers; 1 where they are unrelated or one sounds.
CANCELLED = 0.1  # they cancel for certain,
CERTAIN = 0.001  # if these bands hold as much of a frame's power;
WEAKENED = 0.9  # then bands count in which they cancel less,
HOLD_SECONDS = 1.0  # for this long.
LOWEST_HZ = 10.0  # the lowest key of a piano has 27.5
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
        power = max(round(np.log2(FRAME_SECONDS * sample_rate_hz)), 0)
        self._window = max(2**power, 4 * _BAND)
        self._hop = self._window // _OVERLAP
        self._taper = np.hanning(self._window + 1)[:-1].astype(np.float32)
        # Bins below LOWEST_HZ; an offset reaches two of them.
        self._num_low = int(np.ceil(LOWEST_HZ * self._window / sample_rate_hz))
        # What rounding to 16 bits leaves in a bin, and 10 dB more.
        self._noise = 10 * _STEP_OF_16_BITS**2 * float(np.square(self._taper).sum())
        self._power = self._cancelled = self._subsonic = 0.0
        self._num_channels, self._last_sure, self._was_low, self._sums = 1, -np.inf, False, None

    @property
    def cancelled(self) -> float:
        """The part of the channels' power, so far, that their mean would have lost."""
        return self._cancelled / max(self._power, np.finfo(float).tiny)

    @property
    def subsonic(self) -> float:
        """The part of the signal's power, so far, that was left out as too low to be heard."""
        audible = self._power / self._num_channels
        return self._subsonic / max(self._subsonic + audible, np.finfo(float).tiny)

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

    def of(
        self, blocks: Iterable[Float[np.ndarray, "c _"]]
    ) -> Iterator[tuple[Float[np.ndarray, " _"], Float[np.ndarray, "c _"]]]:
        """Consecutive samples of the signal, and of the channels without what is subsonic; together
        as many as the song has.

        Args:
            blocks: the song, in blocks of any lengths.

        Raises:
            ValueError: if a sample is not finite, or blocks differ in their channels.
        """
        num_left = self._window - self._hop  # of the mirrored samples before the song
        for samples in self._from_mirrored(_pieces(blocks)):
            if samples.shape[1] > num_left:
                yield samples[0, num_left:], samples[1:, num_left:]
            num_left = max(num_left - samples.shape[1], 0)

    def _from_mirrored(self, pieces):
        """The signal and the channels, from as many samples before the song as its frames need."""
        lead, samples, begun, num_mirrored = self._window - self._hop, None, False, 0
        for piece in pieces:
            samples = piece if samples is None else np.concatenate([samples, piece], axis=1)
            if not begun and samples.shape[1] >= self._window:
                samples, begun, num_mirrored = _mirrored(samples, lead, 0), True, _OVERLAP - 1
            count = (samples.shape[1] - self._window) // self._hop + 1 if begun else 0
            if count > 0:
                yield self._complete(samples, range(num_mirrored, count), count)
                num_mirrored = 0
                samples = samples[:, count * self._hop :]
        if samples is None or not samples.shape[1]:
            return
        samples = samples if begun else _mirrored(samples, lead, 0)
        length = samples.shape[1]
        count = -(-length // self._hop)
        samples = _mirrored(samples, 0, (count - 1) * self._hop + self._window - length)
        yield self._complete(samples, range(0), count)[:, :length]

    def _complete(
        self, samples: Float[np.ndarray, "c _"], whole: range, count: int
    ) -> Float[np.ndarray, "d _"]:
        """The samples to which, once the next `count` frames are in, nothing will be added; of
        these frames the `whole` ones hold nothing mirrored."""
        frames = sliding_window_view(samples, self._window, axis=1)[:, :: self._hop][:, :count]
        length = count * self._hop
        if self._sums is None:
            self._num_channels = len(samples)
            self._sums = np.zeros((1 + len(samples), self._window), np.float32)
        sums = np.pad(self._sums, ((0, 0), (0, length)))
        for k, corrections in self._corrections(frames, whole):
            sums[:, k * self._hop : k * self._hop + self._window] += corrections
        self._sums = sums[:, length:]
        samples = samples[:, :length]
        return np.concatenate([samples.mean(0, keepdims=True), samples]) + sums[:, :length]

    def _corrections(
        self, frames: Float[np.ndarray, "c k w"], whole: range
    ) -> Iterator[tuple[int, Float[np.ndarray, "d w"]]]:
        """What is to be added to the mean and to the channels, for each frame (by its number) where
        anything is."""
        spectra = np.fft.rfft(frames * self._taper)
        powers = _band_powers(spectra, self._num_low)
        means, of_means = spectra[0], powers[0]  # of one channel, which cannot be cancelled
        if len(spectra) > 1:
            means = spectra.mean(0)
            of_means = _band_powers(means, self._num_low)
        cancelled = self._cancelled_bands(powers, of_means)
        low = _low_power(means, self._num_low)
        candidates = cancelled.any(-1) | (low > SUBSONIC * of_means.sum(-1))
        wanted, is_low = {}, np.zeros(len(low), np.bool_)
        for k in np.flatnonzero(candidates).tolist():
            wanted[k] = _filled(spectra[:, k], means[k], powers[:, k], cancelled[k])
            is_low[k] = k in whole and self._is_subsonic(wanted[k])
        # Where a low note is mirrored there seems to be an offset: the next whole frame knows.
        if whole:
            is_low[: whole.start], is_low[whole.stop :] = is_low[whole.start], is_low[whole[-1]]
            self._was_low = is_low[whole[-1]]
        else:
            is_low[:] = self._was_low
        for k in np.flatnonzero(cancelled.any(-1) | is_low).tolist():
            changes = np.concatenate([[wanted.get(k, means[k]) - means[k]], 0 * spectra[:, k]])
            if is_low[k]:
                changes[0, : self._num_low] = -means[k, : self._num_low]
                changes[1:, : self._num_low] = -spectra[:, k, : self._num_low]
            corrections = np.fft.irfft(changes, self._window).astype(np.float32)
            yield k, corrections * (self._taper / np.float32(_NORM))

    def _cancelled_bands(
        self, powers: Float[np.ndarray, "c k b"], of_means: Float[np.ndarray, "k b"]
    ) -> Bool[np.ndarray, "k b"]:
        """Where the channels cancel each other."""
        num_channels, total = len(powers), powers.sum(0)
        of_sum = num_channels**2 * of_means
        loudness = total.sum(-1, keepdims=True)
        audible = total > np.maximum(num_channels * _BAND * self._noise, _QUIETEST * loudness)
        certain = (of_sum < CANCELLED * total) & audible
        sure = np.where(certain, total, 0).sum(-1) > CERTAIN * loudness[:, 0]
        cancelled = self._held(sure)[:, None] & (of_sum < WEAKENED * total) & audible
        self._power += float(total.sum(dtype=np.float64))
        self._cancelled += float(total[cancelled].sum(dtype=np.float64))
        return cancelled

    def _held(self, sure: Bool[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
        """Frames for which something is sure, and those soon after."""
        frames = np.arange(len(sure))
        last = np.maximum.accumulate(np.where(sure, frames, self._last_sure))
        self._last_sure = last[-1] - len(sure)
        return frames - last <= HOLD_SECONDS / FRAME_SECONDS * _OVERLAP

    def _is_subsonic(self, wanted: Complex[np.ndarray, " f"]) -> bool:
        """Whether what lies below LOWEST_HZ is a noticeable part of a frame."""
        (low,) = _low_power(wanted[None], self._num_low)
        total = low + _band_powers(wanted[None], self._num_low).sum()
        if low <= max(SUBSONIC * total, self._num_low * self._noise):
            return False
        self._subsonic += float(low)
        return True


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


def _low_power(spectra: Complex[np.ndarray, "*a f"], num_low: int) -> Float[np.ndarray, "*a"]:
    """Power of the `num_low` lowest bins, of which the first has no mirror image."""
    return _power(spectra[..., :num_low]) - np.square(np.abs(spectra[..., 0])) / 2


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
