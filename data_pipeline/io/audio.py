"""Read, resample and write audio files.

16-bit samples are x = i / 32768 in both directions, so a PCM_16 file read and written again is the
same bit for bit (libsndfile alone scales by 32767 when it writes floats).
"""

import io
import os
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Int16, Num

from cerberus_jax.analysis_signal import NOTICEABLE, AnalysisSignal
from data_pipeline.io.audio_decoding import open_source
from data_pipeline.io.files import whole_file
from data_pipeline.io.pcm import to_pcm16

_BLOCK = 1 << 20


def read_audio(path: str | os.PathLike) -> tuple[Float[np.ndarray, "c n"], int]:
    """The samples of any file libsndfile knows (WAV, FLAC, OGG, MP3, ...) and its rate in Hz.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not audio, is cut short or damaged, or holds NaN or infinity.
    """
    source = open_source(path)
    empty = np.zeros((source.num_channels, 0), np.float32)
    samples = np.concatenate([empty, *source.blocks(_BLOCK)], axis=1)
    source.warn(samples.shape[1])
    return samples, source.sample_rate_hz


def resample(
    waveform: Float[np.ndarray, "*channels n"], *, from_hz: int, to_hz: int
) -> Float[np.ndarray, "*channels m"]:
    """The waveform at another rate (soxr HQ: aliases below -140 dB)."""
    if from_hz < 1 or to_hz < 1:
        raise ValueError(f"resample: rates must be positive, got from_hz={from_hz}, to_hz={to_hz}")
    if from_hz == to_hz or waveform.shape[-1] == 0:
        return waveform
    flat = waveform.reshape(-1, waveform.shape[-1])
    moved = soxr.resample(np.ascontiguousarray(flat.T), from_hz, to_hz, quality="HQ").T
    return np.ascontiguousarray(moved).reshape(*waveform.shape[:-1], moved.shape[-1])


def read_mono(
    path: str | os.PathLike, sample_rate_hz: int
) -> tuple[Float[np.ndarray, " n"], list[str]]:
    """A file as one channel at the wanted rate, and what had to be changed for it.

    That is the mean of its channels, unless they cancel or an offset is a noticeable part of it.
    """
    samples, rate = read_audio(path)
    mono, doubts = mono_of(samples, rate)
    return resample(mono, from_hz=rate, to_hz=sample_rate_hz), doubts


def read_mono_pcm16(
    path: str | os.PathLike, sample_rate_hz: int, *, gain: float | int = 1
) -> Int16[np.ndarray, " n"]:
    """The same in 16 bits, after a gain."""
    return to_pcm16(np.float32(gain) * read_mono(path, sample_rate_hz)[0])


def mono_of(
    samples: Float[np.ndarray, "c n"], sample_rate_hz: int
) -> tuple[Float[np.ndarray, " n"], list[str]]:
    """The analysis signal of samples, and what had to be changed for it."""
    signal = AnalysisSignal(sample_rate_hz)
    pieces = [mono for mono, _ in signal.of([samples])]
    if signal.cancelled or signal.subsonic > NOTICEABLE:
        return np.concatenate(pieces), signal.doubts()
    return samples.mean(axis=0), []


def write_audio(
    path: str | os.PathLike,
    waveform: Num[np.ndarray, "..."],
    *,
    sample_rate_hz: int,
    subtype: str = "PCM_16",
) -> None:
    """Write floats (or 16-bit integers) [n] or [c n]; the suffix names the format.

    The file appears under its name only when it is whole; a file already there stays until then.

    Raises:
        ValueError: on another shape, samples that are not finite, or an unknown format.
    """
    path, waveform = Path(path), np.asarray(waveform)
    if waveform.ndim not in (1, 2):
        raise ValueError(
            f"{path}: waveform must have shape [n] or [c n], got {list(waveform.shape)}"
        )
    if waveform.dtype != np.int16 and not np.isfinite(waveform).all():
        raise ValueError(f"{path}: waveform holds samples that are not finite (NaN or infinity)")
    if waveform.dtype == np.int16 or subtype == "PCM_16":
        data = waveform if waveform.dtype == np.int16 else to_pcm16(waveform)
    else:
        data = np.asarray(waveform, np.float32)
    encoded = io.BytesIO()  # a full disk is then an OSError from Python, not a short file
    try:
        soundfile.write(
            encoded, data.T, sample_rate_hz, subtype=subtype, format=path.suffix[1:].upper()
        )
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: cannot write {subtype} at {sample_rate_hz} Hz as "
            f"{path.suffix or 'a file without suffix'} ({error})"
        ) from error
    with whole_file(path) as temporary:
        # Not getbuffer: an error here would leave its view in a traceback, and CPython 3.12.1
        # crashes when it collects a BytesIO that is being looked at.
        temporary.write_bytes(encoded.getvalue())
