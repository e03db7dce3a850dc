"""A picture of a song of any length: a fixed number of columns, each a short spectrum.

Of a long song a column shows the loudest of a few frames in its span, so that a picture of an hour
takes no more memory or time than one of a minute; rows are spaced like pitches.
"""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image

NUM_ROWS = 160
MAX_COLUMNS = 3000
RANGE_DB = 70.0
_FRAMES_PER_COLUMN = 3
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 16000.0
# 64 colours of matplotlib's magma, from dark to light: separating needs no matplotlib.
_MAGMA = bytes.fromhex(
    "00000402010903031206051a0a08220e0b2b130d34180f3d1d114722115029115a2f116336106b3d0f71"
    "440f764a107952137c59157e5f187f651a806b1d81721f817822817e24828426818b2981912b81982d80"
    "9e2f7fa5317eab337cb2357bba3878c03a76c73d73cd4071d3436ed9466bdf4a68e44f64e95462ed5a5f"
    "f1605df4675cf66e5cf8765cfa7d5efb8560fc8e64fd9668fe9d6cfea571feac76feb47bfebb81fec287"
    "feca8dfed194fed89afde0a1fde7a9fceeb0fcf6b8fcfdbf"
)


class Spectrogram:
    """Collects the columns from consecutive samples.

    Args:
        sample_rate_hz: of the samples.
        num_samples: how many will come.
    """

    def __init__(self, sample_rate_hz: int, num_samples: int):
        # A power of two: lengths with large prime factors take several times as long.
        self._window = max(1 << round(np.log2(0.085 * sample_rate_hz)), 16)
        self._taper = np.hanning(self._window + 1)[:-1].astype(np.float32)
        columns = int(np.clip(num_samples / (0.02 * sample_rate_hz), 1, MAX_COLUMNS))
        count = columns * _FRAMES_PER_COLUMN
        centres = ((np.arange(count) + 0.5) * num_samples / count).astype(np.int64)
        self._begins = centres - self._window // 2
        self._power = np.zeros((count, NUM_ROWS), np.float32)
        self._next, self._buffer = 0, np.zeros(self._window, np.float32)
        self._start = -self._window
        top = min(_HIGHEST_HZ, sample_rate_hz / 2)
        self.frequencies = (min(_LOWEST_HZ, top / 4), top)  # of the lower and the upper edge, in Hz
        edges = np.geomspace(*self.frequencies, NUM_ROWS + 1)
        bins = np.clip(edges * self._window / sample_rate_hz, 0, self._window // 2 - 1e-3)
        self._low = bins[:-1].astype(np.int64)
        self._high = np.maximum(bins[1:].astype(np.int64), self._low)

    def add(self, mono: Float[np.ndarray, " n"]) -> None:
        """The next samples."""
        self._buffer = np.concatenate([self._buffer, mono])
        self._take(self._start + len(self._buffer))

    def decibels(self) -> Float[np.ndarray, "rows columns"]:
        """The picture so far, lowest frequency first."""
        end = self._start + len(self._buffer)
        self._buffer = np.pad(self._buffer, (0, self._window))
        self._take(end + self._window)
        columns = self._power.reshape(-1, _FRAMES_PER_COLUMN, NUM_ROWS).max(1)
        return 10 * np.log10(np.maximum(columns.T, 1e-12))

    def _take(self, end):
        """Spectra of the frames that lie before sample `end`."""
        ready = int(np.searchsorted(self._begins, end - self._window, side="right"))
        for first in range(self._next, ready, 256):
            begins = self._begins[first : min(first + 256, ready)] - self._start
            frames = self._buffer[begins[:, None] + np.arange(self._window)]
            power = np.abs(np.fft.rfft(frames * self._taper)) ** 2
            sums = np.pad(np.cumsum(power, axis=1), ((0, 0), (1, 0)))
            widths = self._high - self._low + 1
            rows = (sums[:, self._high + 1] - sums[:, self._low]) / widths
            self._power[first : first + len(rows)] = rows
        self._next = max(ready, self._next)
        following = self._begins[self._next] if self._next < len(self._begins) else end
        # No further than what is here: of a long song the next frame may lie beyond it.
        drop = min(max(int(following) - self._start, 0), len(self._buffer))
        self._buffer, self._start = self._buffer[drop:], self._start + drop


def png(decibels: Float[np.ndarray, "rows columns"], *, top_db: float) -> bytes:
    """The picture as a PNG file, high frequencies above; `top_db` gets the lightest colour."""
    last = len(_MAGMA) // 3 - 1
    brightness = (decibels[::-1] - top_db) / RANGE_DB + 1
    indices = np.clip(np.rint(brightness * last), 0, last).astype(np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(_MAGMA)  # a byte for a pixel: a quarter of the size of a picture in RGBA
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
