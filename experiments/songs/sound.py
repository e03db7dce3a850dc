"""The sound of transcribed notes for the page, where the project's synthesiser is installed.

Separating a song does not need the synthesiser, so a page must do without it.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from data_pipeline.io.audio_stream import AudioWriter, quantise
from data_pipeline.io.midi import Part

# The second brings the soundfont; nothing that either depends on is needed.
PACKAGES = ("tinysoundfont", "pretty_midi")
INSTALL = f"pip install --no-deps {' '.join(PACKAGES)}"
SAMPLE_RATE_HZ = 22050
GAIN = 0.5


def can_play() -> bool:
    """Whether the synthesiser and its soundfont are installed."""
    return all(find_spec(name) for name in PACKAGES)


def play(part: Part, path: Path, *, seconds: float) -> float:
    """Writes the sound of a part's notes; returns its mean power."""
    from data_pipeline.minislakh.renderer import Renderer, default_soundfont

    renderer = Renderer(sample_rate_hz=SAMPLE_RATE_HZ)
    num_samples = max(round(seconds * SAMPLE_RATE_HZ), 1)
    blocks = renderer.blocks(part, soundfont=default_soundfont(), num_samples=num_samples)
    energy = 0.0
    with AudioWriter(path, sample_rate_hz=SAMPLE_RATE_HZ, num_channels=1) as writer:
        for block in blocks:
            block = GAIN * block
            energy += float(np.square(block, dtype=np.float64).sum())
            writer.write(quantise(block[None], "PCM_16"))
    return energy / num_samples
