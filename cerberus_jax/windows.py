"""Cutting a stream into windows of one shape, and adding what comes of them together again.

A window keeps `keep` frames; `context` frames on both sides are there for the recurrence alone. The
kept frames of consecutive windows meet exactly, and their overlap-add goes on across the border.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.stft import LEAST_NORM, hann


@dataclass(frozen=True)
class Window:
    """Samples with their context, and where the kept frames lie in the song.

    `num_samples` is the length of the song, known from the moment it has ended; `last` says that no
    window follows.
    """

    samples: Float[np.ndarray, "c n"]
    first_frame: int
    num_frames: int
    num_samples: int | None = None
    last: bool = False


@dataclass(frozen=True)
class WindowCutter:
    """Windows of `keep` frames and `context` frames more on both sides."""

    grid: FrameGrid
    keep: int
    context: int

    @classmethod
    def of(
        cls, grid: FrameGrid, *, window_seconds: float, context_seconds: float
    ) -> "WindowCutter":
        """A cutter for windows of about these lengths.

        Raises:
            ValueError: unless the window is longer than its two contexts.
        """
        context = round(context_seconds * grid.frame_rate_hz)
        keep = round(window_seconds * grid.frame_rate_hz) - 2 * context
        if context < 0 or keep < 1:
            raise ValueError(
                "window_seconds: must be more than twice context_seconds, which must not be "
                f"negative, got {window_seconds} and {context_seconds}"
            )
        return cls(grid, keep, context)

    @property
    def length(self) -> int:
        """Samples of a window."""
        return (self.keep + 2 * self.context - 1) * self.grid.hop + self.grid.window

    def cut(self, blocks: Iterable[Float[np.ndarray, "c _"]]) -> Iterator[Window]:
        """The windows of a song, each as soon as its samples are there.

        The song's ends are reflected as in stft.py.

        Raises:
            ValueError: if the song has no samples.
        """
        half = self.grid.window // 2
        lead = self.context * self.grid.hop + half
        buffer, total, first = None, 0, 0
        for block in blocks:
            if buffer is None:
                buffer = np.zeros((len(block), lead), np.float32)
            total += block.shape[1]
            buffer = np.concatenate([buffer, block], axis=1)
            # Half a window more is waited for: at the song's end it is needed for the reflection.
            while buffer.shape[1] > self.length + half:
                self._reflect_start(buffer, first, total)
                yield Window(buffer[:, : self.length].copy(), first, self.keep)
                buffer, first = buffer[:, self.keep * self.grid.hop :], first + self.keep
        if total == 0:
            raise ValueError("blocks: the song has no samples")
        self._reflect_start(buffer, first, total)
        yield from self._rest(_reflect_end(buffer, half, total), first, total)

    def _rest(self, buffer, first, total):
        """The windows that reach the song's end."""
        num_frames = self.grid.num_frames(total)
        while first < num_frames:
            samples = buffer[:, : self.length]
            samples = np.pad(samples, [(0, 0), (0, self.length - samples.shape[1])])
            count = min(self.keep, num_frames - first)
            yield Window(samples, first, count, total, last=first + self.keep >= num_frames)
            buffer, first = buffer[:, self.keep * self.grid.hop :], first + self.keep

    def _reflect_start(self, buffer, first, total):
        half = self.grid.window // 2
        if first == 0 and total > half:
            start = self.context * self.grid.hop + half
            buffer[:, start - half : start] = buffer[:, start + 1 : start + half + 1][:, ::-1]


def _reflect_end(buffer, half, total):
    if total <= half:
        return buffer
    return np.concatenate([buffer, buffer[:, -half - 1 : -1][:, ::-1]], axis=1)


class OverlapAdder:
    """Puts the overlap-added kept frames of consecutive windows together, scaled to the song."""

    def __init__(self, grid: FrameGrid):
        self.grid = grid
        self.left_over = None

    def add(self, piece: Float[np.ndarray, "s c m"], window: Window) -> np.ndarray:
        """The samples [s c n] that are complete once this window's kept frames are in."""
        grid, half = self.grid, self.grid.window // 2
        overlap = grid.window - grid.hop
        piece = piece.copy()
        if self.left_over is not None:
            piece[..., :overlap] += self.left_over
        self.left_over = piece[..., piece.shape[-1] - overlap :]
        begin = window.first_frame * grid.hop - half  # of the piece, in the song
        end = begin + piece.shape[-1] - (0 if window.last else overlap)
        if window.num_samples is not None:
            end = min(end, window.num_samples)
        inside = slice(max(-begin, 0), max(end - begin, 0))
        norm = self._norm(begin, piece.shape[-1], window.num_samples)
        return piece[..., inside] / norm[inside]

    def _norm(self, begin, count, num_samples):
        """Summed squares, over samples begin.. of the song, of the windows of its frames."""
        grid, half = self.grid, self.grid.window // 2
        squares = hann(grid.window) ** 2
        norm = np.zeros(count)
        first = max((begin + half - grid.window) // grid.hop + 1, 0)
        last = (begin + count + half - 1) // grid.hop
        if num_samples is not None:
            last = min(last, grid.num_frames(num_samples) - 1)
        for k in range(first, last + 1):
            start = k * grid.hop - half - begin
            low, high = max(start, 0), min(start + grid.window, count)
            norm[low:high] += squares[low - start : high - start]
        return np.maximum(norm, LEAST_NORM).astype(np.float32)
