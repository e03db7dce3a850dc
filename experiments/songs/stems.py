"""The audio files of a song: stems, the song without an instrument, what is left of it.

All are whole numbers of the format's steps, so together they give the song back to the last bit.
Lossy formats have no such steps: they keep the length and the time of every sample, and the sum
only roughly.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data_pipeline.io.audio_stream import AudioInfo, AudioWriter, quantise
from experiments.songs.options import SongOptions

OTHER = "other"
_MINUS = "minus_"


def stem_names(instruments: Sequence[str], options: SongOptions) -> list[str]:
    """The names of the files that `StemFiles` writes, without their endings."""
    names = [name for name in instruments if name in (options.only or instruments)]
    names += [f"{_MINUS}{name}" for name in instruments if name in options.minus]
    return names + [OTHER] * options.other


class StemFiles:
    """The audio files of a song, while it is being separated."""

    def __init__(
        self, folder: Path, instruments: Sequence[str], info: AudioInfo, options: SongOptions
    ):
        self.instruments = tuple(instruments)
        self.written = tuple(name for name in instruments if name in (options.only or instruments))
        self._subtype = options.stored_subtype
        self._minus = [name for name in instruments if name in options.minus]
        self._writers = {
            name: AudioWriter(
                folder / f"{name}.{options.format}",
                sample_rate_hz=info.sample_rate_hz,
                num_channels=info.num_channels,
                subtype=options.stored_subtype,
                num_samples=info.num_samples,
            )
            for name in stem_names(instruments, options)
        }

    @property
    def files(self) -> dict[str, str]:
        """File names of the stems, and of `other`."""
        return {
            name: writer.path.name
            for name, writer in self._writers.items()
            if not name.startswith(_MINUS)
        }

    @property
    def clipped(self) -> dict[str, int]:
        """How many samples of a file had to be clipped, where any."""
        return {name: w.num_clipped for name, w in self._writers.items() if w.num_clipped}

    def __enter__(self) -> "StemFiles":
        return self

    def __exit__(self, *error):
        for writer in self._writers.values():
            writer.close(check=False)
        if error[0] is None:
            for writer in self._writers.values():
                writer.close()

    def add(
        self, mixture: Float[np.ndarray, "c n"], sources: Float[np.ndarray, "s c n"]
    ) -> dict[str, Float[np.ndarray, "c n"]]:
        """The next samples of the song and of its sources; returns those of every stem."""
        quantised_mixture = quantise(mixture, self._subtype)
        quantised = dict(zip(self.instruments, quantise(sources, self._subtype), strict=True))
        stems = dict(zip(self.instruments, sources, strict=True))
        stems = {name: stems[name] for name in self.written}
        for name in self.written:
            self._writers[name].write(quantised[name])
        for name in self._minus:
            self._writers[f"{_MINUS}{name}"].write(quantised_mixture - quantised[name])
        if OTHER in self._writers:
            rest = quantised_mixture - sum(quantised[name] for name in self.written)
            self._writers[OTHER].write(rest)
            stems[OTHER] = mixture - sum(stems.values())
        return stems
