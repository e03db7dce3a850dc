"""Cutting a stream into windows of one shape.

A window keeps `keep` frames; `context` frames on both sides are there for the recurrence alone. The
kept frames of consecutive windows meet exactly.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cerberus_jax.frames import FrameGrid


@dataclass(frozen=True)
class Window:
    """Samples with their context, and where the kept frames lie in the song."""

    samples: Float[np.ndarray, "c n"]
    first_frame: int
    num_frames: int


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
            yield Window(samples, first, count)
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
