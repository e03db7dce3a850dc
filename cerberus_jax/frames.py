"""The one grid of analysis frames that spectra, piano rolls and notes share.

Frames are centred: frame k looks at the `window` samples around sample k * hop, so a signal of n
samples has 1 + n // hop frames. Other rules in use give other counts, so nothing else in the
project counts frames itself.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class FrameGrid:
    """Sample rate, window and hop of the analysis.

    Args:
        sample_rate_hz: samples per second, an integer; 44100.0 is taken as one.
        window: analysis window in samples, even.
        hop: samples between two frames; it must divide the window, so that overlap-add is exact.

    Raises:
        ValueError: if a value is not a positive integer, the window is odd, or the hop does not
            divide it at least twice.
    """

    sample_rate_hz: int = 16000
    window: int = 1024
    hop: int = 256

    def __post_init__(self):
        rate = self.sample_rate_hz
        if isinstance(rate, float | np.floating) and rate.is_integer():
            object.__setattr__(self, "sample_rate_hz", int(rate))
        for name in ("sample_rate_hz", "window", "hop"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise ValueError(f"FrameGrid: {name} must be a positive integer, got {value!r}")
        if self.window % 2 or self.window % self.hop or self.window < 2 * self.hop:
            raise ValueError(
                "FrameGrid: window must be even and a multiple of hop, at least twice it, "
                f"got window={self.window}, hop={self.hop}"
            )

    @property
    def num_bins(self) -> int:
        """Frequency bins of one frame, from 0 Hz to half the sample rate."""
        return self.window // 2 + 1

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate_hz / self.hop

    def num_frames(self, num_samples: int) -> int:
        """Frames of a signal of `num_samples` samples."""
        _check_count("num_samples", num_samples)
        return 1 + int(num_samples) // self.hop

    def frame_times(self, num_frames: int) -> Float[np.ndarray, " t"]:
        """Centres of the first `num_frames` frames, in seconds."""
        _check_count("num_frames", num_frames)
        return np.arange(num_frames) / self.frame_rate_hz


def _check_count(name, count):
    if not isinstance(count, int | np.integer) or isinstance(count, bool):
        raise ValueError(f"FrameGrid: {name} must be a whole number, got {count!r}")
    if count < 0:
        raise ValueError(f"FrameGrid: {name} must not be negative, got {count}")
