"""Samples as 16-bit integers and as floats, gains, and their sum, in numpy."""

import numpy as np
from jaxtyping import Float, Float32, Int16

PCM_SCALE = np.float32(32768.0)


def to_pcm16(waveform: Float[np.ndarray, "*channels n"]) -> Int16[np.ndarray, "*channels n"]:
    """Floats in [-1, 1) as 16-bit integers, rounded and clipped."""
    return np.clip(np.rint(waveform * PCM_SCALE), -32768, 32767).astype(np.int16)


def gain_of_db(db: Float[np.ndarray, "*batch"]) -> Float32[np.ndarray, "*batch"]:
    """The linear gain of a gain in dB."""
    return np.power(10.0, db / 20).astype(np.float32)


def scale_sources(
    sources: Int16[np.ndarray, "*batch s n"], gains: Float32[np.ndarray, "*batch s"]
) -> Float32[np.ndarray, "*batch s n"]:
    """16-bit sources as floats, with their gains."""
    # Dividing by a power of two is exact, so it may as well be done to the gain: one pass.
    return np.multiply(sources, (gains / PCM_SCALE)[..., None], dtype=np.float32)


def mix(sources: Float32[np.ndarray, "*batch s n"]) -> Float32[np.ndarray, "*batch n"]:
    """The mixture: the sum of the sources, in order."""
    return sources.sum(axis=-2)
