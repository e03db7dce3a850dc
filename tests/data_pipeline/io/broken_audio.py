"""Audio files as other programs leave them: cut off, joined, with headers that are not true."""

import io
import struct

import numpy as np
import soundfile

RATE = 44100
_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


def song(seconds: float, *, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Soft, then loud: an encoder with a variable rate begins with small frames. [n c]"""
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * RATE), channels))
    noise[: len(noise) // 2] *= 1e-3
    return noise


def encoded(samples: np.ndarray, container: str, *, rate: int = RATE, **options) -> bytes:
    """The file that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, **options)
    return file.getvalue()


def decoded(content: bytes) -> np.ndarray:
    """What libsndfile reads from a file that is whole. [c n]"""
    return soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0].T


def cut(content: bytes, share: float = 0.6) -> bytes:
    """The first part of a file."""
    return content[: int(share * len(content))]


def mp3_frames(content: bytes) -> list[bytes]:
    """The frames of an mp3 file of 44,100 Hz; the first one only says how many follow."""
    frames, at = [], 0
    while at < len(content):
        padding = content[at + 2] >> 1 & 1
        length = 144000 * _KBPS[content[at + 2] >> 4] // RATE + padding
        frames.append(content[at : at + length])
        at += length
    return frames


def without_header(content: bytes) -> bytes:
    """An mp3 file without the frame that says its length."""
    return b"".join(mp3_frames(content)[1:])


def with_flac_length(content: bytes, length: int) -> bytes:
    """A FLAC file that announces another length."""
    content = bytearray(content)
    content[21:26] = struct.pack(">Q", length | (content[21] & 0xF0) << 32)[3:]
    return bytes(content)


def with_number(content: bytes, chunk: bytes, number: int, form: str, *, offset: int = 4) -> bytes:
    """A file with another number behind the name of a chunk."""
    content = bytearray(content)
    struct.pack_into(form, content, content.index(chunk) + offset, number)
    return bytes(content)


def streamed_wav(content: bytes, riff_size: int, data_size: int) -> bytes:
    """A wav with the sizes of a program that could not go back to its header."""
    content = with_number(content, b"data", data_size, "<I")
    return with_number(content, b"RIFF", riff_size, "<I")


def wav(content: bytes, *, channels: int, rate: int) -> bytes:
    """A wav of 16 bits whose header says anything."""
    facts = struct.pack(
        "<HHIIHH", 1, channels, rate, (rate * channels * 2) % 2**32, channels * 2, 16
    )
    body = b"WAVEfmt " + struct.pack("<I", 16) + facts + b"data" + struct.pack("<I", len(content))
    return b"RIFF" + struct.pack("<I", len(body) + len(content)) + body + content
