"""The network's masks applied to a song at the song's own rate, block by block.

Frames at the song's rate lie on the same moments as the network's, though their distance in samples
need not be whole (705.6 at 44.1 kHz); dividing by the summed squares of the windows that were
really laid makes the sources add up to the song all the same.
"""

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float, Inexact, Int
from numpy.lib.stride_tricks import sliding_window_view

from cerberus_jax.analysis_signal import AnalysisSignal
from cerberus_jax.frames import FrameGrid
from cerberus_jax.masks import MaskKind
from cerberus_jax.stft import MIN_NORM, hann

_FRAMES_AT_ONCE = 64
# Above the network's highest bin the mean mask of this part of its band is continued. The very
# top is left out: it is where resampling a song to the network's rate fades the song out.
_TOP_BAND = (0.8, 0.9)


@dataclass(frozen=True)
class NativeGrid:
    """The frames of `network`, for audio of another rate.

    Args:
        network: the grid of the masks.
        sample_rate_hz: of the song.
        extend_masks: keep what lies above half the network's rate; otherwise it belongs to no
            source.
    """

    network: FrameGrid
    sample_rate_hz: int
    extend_masks: bool = True

    @functools.cached_property
    def window(self) -> int:
        """Samples of a frame: an even number with a fast Fourier transform."""
        return _fast_even(self.network.window * self.sample_rate_hz / self.network.sample_rate_hz)

    def centres(self, first: int, count: int) -> Int[np.ndarray, " count"]:
        """The samples in the middle of `count` frames, from frame number `first`."""
        rate = self.network.sample_rate_hz
        frames = np.arange(first, first + count, dtype=np.int64)
        return (frames * self.network.hop * self.sample_rate_hz + rate // 2) // rate

    def resample(self, mask: Inexact[np.ndarray, "s t f"]) -> Inexact[np.ndarray, "s t g"]:
        """The mask at the frequencies of the song's spectra, by linear interpolation."""
        network = self.network
        if self.sample_rate_hz == network.sample_rate_hz:
            return mask
        below, weight, first_above = self._between_bins
        resampled = mask[..., below] * (1 - weight) + mask[..., below + 1] * weight
        low, high = (round(share * (network.num_bins - 1)) for share in _TOP_BAND)
        band = mask[..., low : high + 1].mean(-1, keepdims=True)
        resampled[..., first_above:] = band if self.extend_masks else 0
        return resampled

    @functools.cached_property
    def _between_bins(self):
        """For every bin of the song's spectra: the network's bin below, how far it lies towards
        the next; and the first bin above half the network's rate."""
        network = self.network
        hertz = np.arange(self.window // 2 + 1) * self.sample_rate_hz / self.window
        position = hertz * network.window / network.sample_rate_hz
        below = np.minimum(position.astype(np.int64), network.num_bins - 2)
        weight = np.minimum(position - below, 1).astype(np.float32)
        return below, weight, int((hertz <= network.sample_rate_hz / 2).sum())


class SongSeparator:
    """Takes the samples of a song and the masks of its frames, both in order; gives the sources.

    Masks may come as soon as the samples of their frames have been fed, or at any time later.

    Args:
        grid: of the song.
        kind: of the masks.
    """

    def __init__(self, grid: NativeGrid, kind: MaskKind):
        self.grid, self._apply = grid, kind.apply
        own = kind.resample
        self._resample = grid.resample if own is None else functools.partial(own, grid=grid)
        self._half = grid.window // 2
        self._taper = hann(grid.window).astype(np.float32)
        self._taper_squared = self._taper**2
        # Blocks of samples still needed, and where the first begins in the song.
        self._blocks, self._start = deque(), -self._half
        self._num_channels, self._num_samples = 0, 0
        self._frame = 0
        self._sums, self._norm, self._done = None, None, -self._half

    def feed(self, samples: Float[np.ndarray, "c _"]) -> None:
        """The next samples of the song."""
        if not self._num_channels:
            self._num_channels = len(samples)
            self._blocks.append(np.zeros((len(samples), self._half), np.float32))
        self._num_samples += samples.shape[1]
        self._blocks.append(np.array(samples, np.float32))

    def end(self) -> None:
        """No samples follow."""
        tail = np.zeros((self._num_channels, self._half), np.float32)
        if self._num_samples > self._half:
            tail = self._samples(self._num_samples - self._half - 1, self._num_samples - 1)[:, ::-1]
        # The network's samples are rounded up in number, so that the last frame may be centred
        # past the end of the song by less than one of them.
        over = self.grid.sample_rate_hz // self.grid.network.sample_rate_hz + 2
        self._blocks.append(np.pad(tail, ((0, 0), (0, over))))

    def apply(self, mask: Inexact[np.ndarray, "s t f"]) -> Float[np.ndarray, "s c m"]:
        """The samples of the sources that are complete once the frames of `mask` are in."""
        if self._frame == 0 and self._num_samples > self._half:
            self._blocks[0] = self._samples(1, self._half + 1)[:, ::-1]
        pieces = []
        for first in range(0, mask.shape[1], _FRAMES_AT_ONCE):
            pieces.append(self._add(mask[:, first : first + _FRAMES_AT_ONCE]))
        return np.concatenate(pieces, axis=2)

    def rest(self) -> Float[np.ndarray, "s c m"]:
        """The last samples, once all masks were given."""
        return self._emit(self._num_samples)

    def _add(self, mask):
        window, count = self.grid.window, mask.shape[1]
        begins = self.grid.centres(self._frame, count + 1) - self._half
        samples = self._samples(int(begins[0]), int(begins[-2]) + window)
        frames = sliding_window_view(samples, window, axis=1)[:, begins[:-1] - begins[0]]
        spectra = scipy.fft.rfft(frames * self._taper)
        masked = self._apply(self._resample(mask)[:, None], spectra)
        sounds = scipy.fft.irfft(masked, window, overwrite_x=True) * self._taper
        self._reserve(sounds.shape[:2], int(begins[-2]) + window - self._done)
        _lay(self._sums, sounds, begins[:-1] - self._done)
        squares = np.broadcast_to(self._taper_squared, (count, window))
        _lay(self._norm, squares, begins[:-1] - self._done)
        self._frame += count
        following = int(begins[-1])
        self._drop(following)
        return self._emit(min(following, self._num_samples))

    def _samples(self, begin: int, end: int) -> Float[np.ndarray, "c _"]:
        """Samples of the song, of which only those that are asked for are copied."""
        pieces, start = [], self._start
        for block in self._blocks:
            if start >= end:
                break
            pieces.append(block[:, max(begin - start, 0) : end - start])
            start += block.shape[1]
        return np.concatenate(pieces, axis=1)

    def _drop(self, begin: int) -> None:
        """Forgets the blocks that end before the sample `begin`."""
        while self._blocks and self._start + self._blocks[0].shape[1] < begin:
            self._start += self._blocks.popleft().shape[1]

    def _reserve(self, lead, length):
        if self._sums is None:
            self._sums, self._norm = np.zeros((*lead, 0), np.float32), np.zeros(0, np.float32)
        missing = max(length - len(self._norm), 0)
        self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, missing)))
        self._norm = np.pad(self._norm, (0, missing))

    def _emit(self, end):
        """Samples up to `end` of the song leave; those before its beginning are dropped."""
        count = max(end - self._done, 0)
        self._reserve(self._sums.shape[:2], count)
        norm = np.maximum(self._norm[:count], MIN_NORM)
        finished = (self._sums[..., :count] / norm)[..., max(-self._done, 0) :]
        self._sums, self._norm = self._sums[..., count:], self._norm[count:]
        self._done += count
        return finished


def _lay(
    sums: Float[np.ndarray, "*a n"], frames: Float[np.ndarray, "*a t w"], begins: np.ndarray
) -> None:
    """Adds every frame from its beginning on."""
    window, hop = frames.shape[-1], int(begins[-1] - begins[-2]) if len(begins) > 1 else 0
    if hop and window % hop == 0 and (np.diff(begins) == hop).all():
        # At equal distances the k-th hops of all frames lie side by side.
        blocks = frames.reshape(*frames.shape[:-1], window // hop, hop)
        for k in range(window // hop):
            first = int(begins[0]) + k * hop
            span = sums[..., first : first + len(begins) * hop]
            span += blocks[..., k, :].reshape(span.shape)
        return
    for k, begin in enumerate(begins.tolist()):
        sums[..., begin : begin + window] += frames[..., k, :]


def mono_blocks(
    blocks: Iterable[Float[np.ndarray, "c _"]],
    separator: SongSeparator | None,
    *,
    from_hz: int,
    to_hz: int,
    signal: AnalysisSignal | None = None,
) -> Iterator[Float[np.ndarray, "1 _"]]:
    """The analysis signal of a song at the network's rate; a `separator` is
    fed the song itself.

    Never nothing: a song too short for a sample at `to_hz` gives one silent sample.

    Args:
        signal: makes it; None: the mean of the channels.
    """
    stream = None
    if from_hz != to_hz:
        import soxr  # late: a machine that only trains or measures need not have it

        stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    total, seen = 0, 0
    as_it_is = ((np.ascontiguousarray(block.mean(0), np.float32), block) for block in blocks)
    for mono, channels in signal.of(blocks) if signal else as_it_is:
        if separator:
            separator.feed(channels)
        seen += len(mono)
        mono = mono if stream is None else stream.resample_chunk(mono)
        total += len(mono)
        yield mono[None]
    if not seen:
        return
    if separator:
        separator.end()
    if stream is not None:
        mono = stream.resample_chunk(np.zeros(0, np.float32), last=True)
        yield mono[None] if total + len(mono) else np.zeros((1, 1), np.float32)


def _fast_even(length: float) -> int:
    """The even number nearest to `length` that only 2, 3, 5, 7 and 11 divide; at least 4."""
    nearest = max(2 * round(length / 2), 4)
    for distance in range(0, nearest, 2):
        for candidate in (nearest - distance, nearest + distance):
            if candidate >= 4 and _is_smooth(candidate):
                return candidate
    return nearest


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5, 7, 11):
        while number % prime == 0:
            number //= prime
    return number == 1
