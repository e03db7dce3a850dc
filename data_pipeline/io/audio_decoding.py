"""Decodes audio files to their end: the one policy for whole files and for blocks.

The containers say which streams a file has and whether they are whole (`containers`); every stream
is decoded until nothing more comes, in memory that the header cannot enlarge.
"""

import contextlib
import logging
import mmap
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from data_pipeline.io.containers.flac import flac_links
from data_pipeline.io.containers.link import Layout, Link
from data_pipeline.io.containers.mpeg import id3_end, mpeg_links
from data_pipeline.io.containers.ogg import ogg_links
from data_pipeline.io.containers.sized import sized_links

MAX_CHANNELS = 64
MIN_RATE_HZ, MAX_RATE_HZ = 1000, 768000
# Silence in FLAC takes a byte for 300 samples; a header that announces more is not believed.
MAX_SAMPLES_PER_BYTE = 512
MAX_AMPLITUDE = 2.0**32  # beyond any integers that were stored as floats unscaled
_MAX_VALUES_PER_BLOCK = 1 << 22
_COPIED_BYTES = 1 << 20


@dataclass(frozen=True)
class AudioSource:
    """A file that libsndfile can decode.

    Attributes:
        path: the file.
        layout: its streams, and what is doubtful about them.
        sample_rate_hz: of all streams.
        num_channels: of all streams.
        announced: the length by the headers; None where only decoding tells it.
    """

    path: Path
    layout: Layout
    sample_rate_hz: int
    num_channels: int
    announced: int | None

    def count(self) -> int:
        """The length in samples."""
        if self.announced is not None:
            return self.announced
        return sum(block.shape[1] for block in self.blocks(_MAX_VALUES_PER_BLOCK))

    def warn(self, num_samples: int) -> None:
        """Say what is doubtful about the file, and the length that was read."""
        seconds = num_samples / self.sample_rate_hz
        for doubt in self.layout.doubts:
            logging.warning("%s: %s (%d samples, %.1f s)", self.path, doubt, num_samples, seconds)

    def blocks(self, max_samples: int) -> Iterator[Float[np.ndarray, "c _"]]:
        """All samples in order, at most `max_samples` at once.

        Raises:
            ValueError: if the file is cut short or damaged, or holds NaN or infinity.
        """
        size = max(min(max_samples, _MAX_VALUES_PER_BLOCK // self.num_channels), 1)
        for link in self.layout.links:
            num_read = 0
            with _opened(self.path, link) as file:
                expected = _announced(self.path, file, link, believe=True)
                while num_left := size if expected is None else min(size, expected - num_read):
                    block = _next_block(self.path, file, num_left, num_read)
                    if not block.shape[1]:
                        break
                    num_read += block.shape[1]
                    yield block
            if expected is not None and num_read < expected:
                raise ValueError(
                    f"{self.path}: damaged or cut short: {expected} samples announced, "
                    f"{num_read} read"
                )


def open_source(path: str | os.PathLike) -> AudioSource:
    """What a file holds, before any of it is decoded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not audio, is seen to be cut short, or its header cannot be true.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such audio file")
    layout = _layout(path)
    formats, lengths = [], []
    for link in layout.links:
        with _opened(path, link) as file:
            _check_header(path, file)
            formats.append((file.samplerate, file.channels))
            lengths.append(_announced(path, file, link))
    for i, (rate, channels) in enumerate(formats):
        if (rate, channels) != formats[0]:
            raise ValueError(
                f"{path}: files joined end to end must agree: {formats[0][0]} Hz and "
                f"{formats[0][1]} channels expected, file {i + 1} has {rate} Hz and {channels}"
            )
    announced = None if None in lengths else sum(lengths)
    return AudioSource(path, layout, *formats[0], announced)


def estimated_length(path: str | os.PathLike) -> tuple[int, int]:
    """Samples and rate by the header alone, where the file can hold as many as that says.

    Of a file without a likely length all is decoded; others cost no more than opening them.

    Raises:
        FileNotFoundError, ValueError: as `open_source`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such audio file")
    with _opened(path, Link()) as file:
        _check_header(path, file)
        announced, rate = _announced(path, file, Link()), file.samplerate
    return announced or open_source(path).count(), rate


def _layout(path: Path) -> Layout:
    if not path.stat().st_size:
        return Layout()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _layout_of(data) or Layout()
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _layout_of(data) -> Layout | None:
    if data[:4] == b"OggS":
        return ogg_links(data)
    start = id3_end(data, 0)
    if data[start : start + 4] == b"fLaC":
        return flac_links(data)
    if start or (data[0] == 255 and data[1:2] >= b"\xe2"):
        return mpeg_links(data)
    return sized_links(data)


class _Forward(soundfile.SoundFile):
    """A file that is only read from beginning to end.

    soundfile seeks to where it is after every block; an mp3 decoder starts anew there, without what
    it knew of the frames before, and a thousand samples are wrong.
    """

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def _opened(path: Path, link: Link) -> Iterator[soundfile.SoundFile]:
    """One stream, opened; what is not a file as it stands is copied into one without a name."""
    with contextlib.ExitStack() as stack:
        source = os.fsencode(path)  # text that is no UTF-8 is not taken
        if link.pieces:
            copy = stack.enter_context(tempfile.TemporaryFile())
            _fill(copy, path, link)
            source = copy.fileno()
        try:
            file = _Forward(source, closefd=not link.pieces)
        except (soundfile.SoundFileError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read as audio ({_reason(error)})") from error
        with file:
            yield file


def _fill(copy, path, link):
    """Write the bytes of a stream into a new file."""
    try:
        with path.open("rb") as source:
            for piece in link.pieces:
                if isinstance(piece, bytes):
                    copy.write(piece)
                    continue
                source.seek(piece.start)
                for at in range(piece.start, piece.stop, _COPIED_BYTES):
                    copy.write(source.read(min(_COPIED_BYTES, piece.stop - at)))
        copy.seek(0)
    except OSError as error:
        with contextlib.suppress(OSError):  # it would write again what is buffered
            copy.close()
        place = tempfile.gettempdir()
        message = f"cannot be copied to {place} to decode it ({error.strerror or error})"
        raise OSError(error.errno, message, str(path)) from error


def _check_header(path, file):
    if "truncated" in file.extra_info:  # libsndfile's own word on the rarer containers
        raise ValueError(f"{path}: damaged or cut short: {file.frames} samples are there")
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise ValueError(f"{path}: 1 to {MAX_CHANNELS} channels expected, got {file.channels}")
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise ValueError(
            f"{path}: a rate of {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz expected, got {file.samplerate}"
        )


def _announced(path, file, link, *, believe: bool = False) -> int | None:
    """The length by the header; None if there is none, or (unless `believe`) an unlikely one."""
    if not link.has_length or file.frames >= 2**62:
        return None
    is_likely = file.frames <= MAX_SAMPLES_PER_BYTE * path.stat().st_size
    return file.frames if believe or is_likely else None


def _next_block(path, file, size, num_read) -> Float[np.ndarray, "c _"]:
    try:
        block = file.read(size, dtype="float32", always_2d=True).T
    except (soundfile.SoundFileError, AssertionError) as error:
        length = "no length" if file.frames >= 2**62 else f"{file.frames} samples"
        raise ValueError(
            f"{path}: damaged or cut short: {length} announced, the decoder stopped after "
            f"{num_read} ({_reason(error)})"
        ) from error
    if not np.isfinite(block).all():
        raise ValueError(f"{path}: holds samples that are not finite (NaN or infinity)")
    if np.abs(block).max(initial=0) > MAX_AMPLITUDE:
        raise ValueError(
            f"{path}: samples of at most {MAX_AMPLITUDE:.0e} expected (1 is full scale), got "
            f"{np.abs(block).max():.0e}"
        )
    return np.ascontiguousarray(block)


def _reason(error) -> str:
    return getattr(error, "error_string", "") or str(error)
