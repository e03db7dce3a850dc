"""What the sides of a benchmark work on: the sizes, and the same random data for all of them.

Needs numpy alone, because a PyTorch side may run in a Python that has nothing else.
"""

from dataclasses import dataclass

import numpy as np

NUM_PITCHES = 88
LOWEST_PITCH = 21
NOTES_PER_SECOND = 8  # of each source
MAX_NOTE_FRAMES = 30
SEED = 1


@dataclass(frozen=True)
class Workload:
    """The network and its input; the defaults are the paper's network for five instruments.

    `batch_size` excerpts of `seconds` at once; `hidden` units are per direction.
    """

    batch_size: int = 8
    seconds: float = 5.0
    num_instruments: int = 5
    sample_rate_hz: int = 16000
    window: int = 1024
    hop: int = 256
    layers: int = 4
    hidden: int = 300
    dropout: float = 0.3
    embedding_dim: int = 20

    @property
    def num_samples(self) -> int:
        """Samples of an excerpt."""
        return round(self.seconds * self.sample_rate_hz)

    @property
    def num_frames(self) -> int:
        """Frames of an excerpt, centred: that of FrameGrid, whose package not every side has."""
        return 1 + self.num_samples // self.hop

    @property
    def num_bins(self) -> int:
        """Frequency bins of a frame."""
        return self.window // 2 + 1


SMALL = Workload(
    batch_size=2, seconds=0.2, num_instruments=2, window=128, hop=32, layers=1, hidden=8,
    embedding_dim=4,
)  # fmt: skip
"""A tiny network on tiny excerpts, to try a benchmark."""


def loader_batch(work: Workload) -> dict[str, np.ndarray]:
    """A batch as the loader hands it over: sources int16 [b s n], gains [b s], notes [b s m 3]."""
    rng = np.random.default_rng(SEED)
    lead = (work.batch_size, work.num_instruments)
    sources = np.clip(3000 * rng.standard_normal((*lead, work.num_samples), np.float32), -3e4, 3e4)
    num_notes = max(1, round(NOTES_PER_SECOND * work.seconds))
    first = rng.integers(0, work.num_frames, (*lead, num_notes))
    length = rng.integers(1, MAX_NOTE_FRAMES, first.shape)
    end = np.minimum(first + length, work.num_frames)
    pitch = rng.integers(LOWEST_PITCH, LOWEST_PITCH + NUM_PITCHES, first.shape)
    return {
        "sources": sources.astype(np.int16),
        "gains": rng.uniform(0.7, 1.4, lead).astype(np.float32),
        "notes": np.stack([first, end, pitch], -1).astype(np.int16),
    }


def float_batch(work: Workload) -> dict[str, np.ndarray]:
    """The same excerpts as a loader hands them over that leaves nothing to the device: float32
    mixture [b n], sources [b s n] and rolls [b s p t]."""
    batch = loader_batch(work)
    sources = batch["sources"] * (batch["gains"][..., None] / np.float32(32768))
    rolls = np.zeros((*sources.shape[:2], NUM_PITCHES, work.num_frames), np.float32)
    for b, s, m in np.ndindex(batch["notes"].shape[:3]):
        first, end, pitch = batch["notes"][b, s, m]
        rolls[b, s, pitch - LOWEST_PITCH, first:end] = 1
    return {"mixture": sources.sum(1), "sources": sources, "rolls": rolls}


def song(work: Workload) -> np.ndarray:
    """A mono song of `work.seconds`, [n] float32."""
    return 0.1 * np.random.default_rng(SEED).standard_normal(work.num_samples, np.float32)
