"""Songs of any length in blocks: read them, write them, in memory that does not grow.

What is written has been rounded to steps of the output format before (`quantise`), so sums and
differences of files are exact. A PCM wav that meets a sample beyond full scale goes on as 32-bit
floats, the same steps unclipped. Lossy formats keep the length and the place of every sample, but
not its value.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float, Num

from data_pipeline.io.audio_decoding import open_source

# Of each format, the default first.
SUBTYPES = {
    "wav": ("PCM_16", "PCM_24", "FLOAT"),
    "flac": ("PCM_16", "PCM_24"),
    "mp3": ("MPEG_LAYER_III",),
    "ogg": ("VORBIS",),
}
LOSSY = ("mp3", "ogg")
# Steps per unit of amplitude; those of floats and of lossy formats have no name.
SCALES = {"PCM_16": 2**15, "PCM_24": 2**23, "FLOAT": 0, "MPEG_LAYER_III": 0, "VORBIS": 0}
# Of 0, the best, to 1: mp3 of some 220 kbit/s and Vorbis of quality 9, in stereo at 44.1 kHz.
_COMPRESSION_LEVEL = 0.1
_LOSSY_BLOCK = 4096  # libsndfile puts what Vorbis is given on its stack, which overflows
_WAV_LIMIT = 2**32 - 2**16  # bytes of samples; RF64 goes on from there
_BLOCK = 1 << 16


@dataclass(frozen=True)
class AudioInfo:
    """Rate, channels and length of an audio file."""

    sample_rate_hz: int
    num_channels: int
    num_samples: int

    @property
    def seconds(self) -> float:
        """The length."""
        return self.num_samples / self.sample_rate_hz


def audio_info(path: str | os.PathLike, *, warn: bool = True) -> AudioInfo:
    """What an audio file holds: the length that `read_blocks` gives, if the file is whole.

    Args:
        path: the file.
        warn: whether to say what is doubtful about it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not audio, is seen to be cut short, or holds no samples.
    """
    source = open_source(path)
    info = AudioInfo(source.sample_rate_hz, source.num_channels, source.count())
    if info.num_samples == 0:
        raise ValueError(f"{path}: holds no samples")
    if warn:
        source.warn(info.num_samples)
    return info


def read_blocks(
    path: str | os.PathLike, *, block_seconds: float = 5.0
) -> Iterator[Float[np.ndarray, "c _"]]:
    """The samples of an audio file in order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not audio, is cut short or damaged, or holds NaN or infinity.
    """
    source = open_source(path)
    yield from source.blocks(round(block_seconds * source.sample_rate_hz))


def check_format(format: str, subtype: str) -> None:
    """ValueError unless files of this format can have this subtype."""
    if format not in SUBTYPES:
        raise ValueError(f"format: one of {', '.join(SUBTYPES)} expected, got {format!r}")
    if subtype not in SUBTYPES[format]:
        raise ValueError(
            f"subtype: {format} files can be {', '.join(SUBTYPES[format])}, got {subtype!r}"
        )


def quantise(samples: Float[np.ndarray, "*a n"], subtype: str) -> Num[np.ndarray, "*a n"]:
    """Amplitudes in steps of a PCM subtype (whole numbers, not clipped); as they are for others."""
    scale = SCALES[subtype]
    if not scale:
        return np.asarray(samples, np.float32)
    return np.rint(samples.astype(np.float64) * scale).astype(np.int64)


class AudioWriter:
    """Writes one audio file block by block; a full disk is an OSError that names the file.

    Args:
        path: the file; its suffix is the format.
        subtype: one of the format's SUBTYPES.
        num_samples: how long it will be (wav files beyond 4 GB need another header).
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        sample_rate_hz: int,
        num_channels: int,
        subtype: str = "PCM_16",
        num_samples: int = 0,
    ):
        self.path, self.subtype, self.num_clipped = Path(path), subtype, 0
        self._rate, self._channels, self._length = sample_rate_hz, num_channels, num_samples
        self._format = self.path.suffix[1:].lower()
        check_format(self._format, subtype)
        self._stored = subtype
        self._file, self._sound = self._create(self.path)

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(self, *error):
        self.close(check=error[0] is None)

    def write(self, samples: Num[np.ndarray, "c _"]) -> None:
        """The next samples, as `quantise` gives them for this file's subtype."""
        if self._stored != "FLOAT":
            scale = SCALES[self.subtype]
            lowest, highest = (-scale, scale - 1) if scale else (-1, 1)
            beyond = (samples < lowest) | (samples > highest)
            if beyond.any() and self._format == "wav":
                self._go_on_in_floats()
            elif beyond.any():
                self.num_clipped += int(beyond.sum())
                samples = np.clip(samples, lowest, highest)
        self._write(samples)

    def close(self, *, check: bool = True) -> None:
        """End the file; with `check`, what could not be written is an OSError."""
        if not self._sound.closed:
            with _interrupts_wait():
                _close(self._sound)
            self._file.close()
        if check:
            self._file.check()

    def _create(self, path):
        size = self._length * self._channels * {"PCM_16": 2, "PCM_24": 3}.get(self._stored, 4)
        is_large = self._format == "wav" and size > _WAV_LIMIT
        container = "RF64" if is_large else self._format.upper()
        quality = {"compression_level": _COMPRESSION_LEVEL} if self._format in LOSSY else {}
        quality |= {"bitrate_mode": "VARIABLE"} if self._format == "mp3" else {}
        file = _CheckedFile(path)
        try:
            with _interrupts_wait():
                return file, soundfile.SoundFile(
                    file, "w", self._rate, self._channels, self._stored, format=container, **quality
                )
        except (soundfile.SoundFileError, ValueError) as error:
            file.close()
            file.check()
            reason = getattr(error, "error_string", error)  # without the name of a Python object
            raise ValueError(
                f"{path}: {self._format} {self._stored} cannot hold {self._channels} channels at "
                f"{self._rate} Hz ({reason}); try another --format"
            ) from error

    def _write(self, samples):
        scale = SCALES[self.subtype]
        if not SCALES[self._stored]:
            data = np.asarray(samples / scale if scale else samples, np.float32)
        elif self._stored == "PCM_16":
            data = samples.astype(np.int16)
        else:
            data = samples.astype(np.int32) << 8
        length = _LOSSY_BLOCK if self._format in LOSSY else max(data.shape[1], 1)
        try:
            for first in range(0, data.shape[1], length):
                with _interrupts_wait():
                    self._sound.write(np.ascontiguousarray(data[:, first : first + length].T))
        except (soundfile.SoundFileError, AssertionError):
            self._file.check()
            raise

    def _go_on_in_floats(self):
        """The same file anew in 32-bit floats, with what it holds so far."""
        self.close()
        pcm_file = self.path.with_name(f".pcm.{self.path.name}")
        os.replace(self.path, pcm_file)
        self._stored = "FLOAT"
        self._file, self._sound = self._create(self.path)
        with soundfile.SoundFile(os.fsencode(pcm_file)) as pcm:
            for block in pcm.blocks(_BLOCK, dtype="float64", always_2d=True):
                self._write(quantise(block.T, self.subtype))
        pcm_file.unlink()


@contextlib.contextmanager
def _interrupts_wait():
    """Signals come when the block is over: inside a callback of libsndfile, the exception they
    raise would be printed and lost, with what was being written."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    received, numbers = [], (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, _: received.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for number in received[:1]:
            signal.raise_signal(number)


class _CheckedFile:
    """A file that remembers why it could not be written: libsndfile would not tell."""

    def __init__(self, path: Path):
        self._path, self._error = path, None
        self._file = path.open("w+b")

    def write(self, data):
        try:
            return self._file.write(data)
        except OSError as error:
            self._error = self._error or error
            return 0

    def read(self, size=-1):
        return self._file.read(size)

    def seek(self, offset, whence=os.SEEK_SET):
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # seeking writes what is buffered
            self._error = self._error or error
            return 0

    def tell(self):
        return self._file.tell()

    def close(self):
        try:
            self._file.close()
        except OSError as error:
            self._error = self._error or error

    def check(self):
        if self._error:
            raise OSError(self._error.errno, self._error.strerror, str(self._path))


def _close(sound):
    try:
        sound.close()
    except (soundfile.SoundFileError, AssertionError):
        return  # the file knows the reason
