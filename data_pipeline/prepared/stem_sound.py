"""The sound of a stem as `prepare` takes it, of whichever of its files it can be read."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from data_pipeline.corpora.track import Stem
from data_pipeline.io.audio import read_mono
from data_pipeline.io.audio_decoding import open_source
from data_pipeline.io.pcm import to_pcm16


class StemSound(NamedTuple):
    """A stem's samples, the file they are of, what is doubtful about it and what was changed."""

    samples: Float[np.ndarray, " n"]
    path: Path
    doubts: list[str]
    changes: list[str]

    @classmethod
    def read(cls, path: Path, sample_rate_hz: int) -> "StemSound":
        """The sound of one file."""
        samples, changes = read_mono(path, sample_rate_hz)
        return cls(samples, path, list(open_source(path).layout.doubts), changes)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is left of it in 16 bits."""
        return not to_pcm16(self.samples).any()


def sound_of(stem: Stem, sample_rate_hz: int) -> StemSound:
    """The sound of a stem; of another file of it where its own is silent or cannot be read."""
    path, sound, fault = stem.audio_path, None, None
    try:
        sound = StemSound.read(path, sample_rate_hz)
    except ValueError as error:
        fault = error
    if sound and not (stem.other_audio and sound.is_silent):
        return sound
    for other in stem.other_audio:
        try:
            instead = StemSound.read(other, sample_rate_hz)
        except (ValueError, FileNotFoundError):
            continue
        if not instead.is_silent:
            state = f"cannot be read ({fault})" if fault else "is silent"
            doubt = f"{path.name} {state}; {other.name}, which sounds, was taken"
            logging.warning("%s: %s", path.parent, doubt)
            return instead._replace(doubts=[*instead.doubts, doubt])
    if fault:
        raise fault
    return sound
