"""What is drawn, a batch as it is planned, and an excerpt as it is evaluated."""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Int, Int16, Int64

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline.prepared.catalogue import Catalogue

MAX_SEMITONES = 12


@dataclass(frozen=True)
class PlanConfig:
    """What to draw.

    Args:
        instruments: the class of each slot.
        grid: the frames on which notes are placed; its rate must be that of the PCM.
        num_samples: length of an excerpt.
        batch_size: excerpts per batch.
        seed: of all draws.
        split: tracks to draw from.
        coherent_probability: how often all sources come from one moment of one song.
        gain_db: gains are uniform in dB between - and + this.
        active_rms_db: RMS in dB below which a stem counts as silent in an excerpt.
        fixed: key the draws by the number of the excerpt instead of the batch.
        corpora: the corpus each slot draws from ('' any); () any for all.
        augment_polarity: probability that a source is turned upside down.
        augment_semitones: shift sources by up to so many semitones, see `augment`.
        augment_equaliser_db: filter sources by curves whose values at the octaves are uniform in dB
            between - and + this (`cerberus_jax.equaliser`).
        silence_probability: how often a source is silent; one of each excerpt always sounds.
        rest_probability: below 1, `rest` sounds less often than the others by this factor, and is
            not the one that always sounds.

    Raises:
        ValueError: on a value out of range.
    """

    instruments: tuple[str, ...]
    grid: FrameGrid
    num_samples: int
    batch_size: int
    seed: int = 0
    split: str = "train"
    coherent_probability: float | int = 0.5
    gain_db: float | int = 3.0
    active_rms_db: float | int = -30.0
    fixed: bool = False
    corpora: tuple[str, ...] = ()
    augment_polarity: float | int = 0.0
    augment_semitones: int = 0
    augment_equaliser_db: float | int = 0.0
    silence_probability: float | int = 0.0
    rest_probability: float | int = 1.0

    def __post_init__(self):
        if not self.instruments or len(set(self.instruments)) != len(self.instruments):
            raise ValueError(f"instruments must be distinct, at least one, got {self.instruments}")
        if self.num_samples < 1 or self.batch_size < 1:
            raise ValueError(
                "num_samples and batch_size must be positive, "
                f"got {self.num_samples} and {self.batch_size}"
            )
        if not 0 <= self.coherent_probability <= 1:
            raise ValueError(
                f"coherent_probability must lie in 0..1, got {self.coherent_probability}"
            )
        if not (math.isfinite(self.gain_db) and self.gain_db >= 0):
            raise ValueError(f"gain_db must be finite and not negative, got {self.gain_db}")
        if math.isnan(self.active_rms_db):
            raise ValueError("active_rms_db must be a number, got nan")
        if not 0 <= self.augment_polarity <= 1:
            raise ValueError(f"augment_polarity must lie in 0..1, got {self.augment_polarity}")
        if not 0 <= self.silence_probability <= 1:
            raise ValueError(
                f"silence_probability must lie in 0..1, got {self.silence_probability}"
            )
        if not 0 <= self.rest_probability <= 1:
            raise ValueError(f"rest_probability must lie in 0..1, got {self.rest_probability}")
        if not 0 <= self.augment_semitones <= MAX_SEMITONES:
            raise ValueError(
                f"augment_semitones must lie in 0..{MAX_SEMITONES}, got {self.augment_semitones}"
            )
        if not (math.isfinite(self.augment_equaliser_db) and self.augment_equaliser_db >= 0):
            raise ValueError(
                "augment_equaliser_db must be finite and not negative, "
                f"got {self.augment_equaliser_db}"
            )
        if self.corpora and len(self.corpora) != len(self.instruments):
            raise ValueError(
                f"corpora must name one corpus per instrument ({len(self.instruments)}) or be "
                f"empty, got {self.corpora}"
            )


@dataclass(frozen=True)
class PlannedBatch:
    """Where the audio of a batch lies and what is played.

    Args:
        stems: rows of the catalogue.
        corpora: the PCM file of each stem.
        starts: first sample of each source in its PCM file.
        offsets: the same within its track.
        gains: linear.
        notes: (first frame, end frame, pitch), unused rows 0.
        labelled: whether the notes of a source are known; if not it has none, although it sounds.
        catalogue: the prepared data.
        shifts: semitones by which each source is resampled; None for none.
        equalisers: what each source is filtered by in dB at `equaliser.OCTAVES_HZ`; None for none.
    """

    stems: Int64[np.ndarray, "b s"]
    corpora: Int[np.ndarray, "b s"]
    starts: Int64[np.ndarray, "b s"]
    offsets: Int64[np.ndarray, "b s"]
    gains: Float32[np.ndarray, "b s"]
    notes: Int16[np.ndarray, "b s m 3"]
    labelled: Bool[np.ndarray, "b s"]
    catalogue: Catalogue = field(repr=False)
    shifts: Int64[np.ndarray, "b s"] | None = None
    equalisers: Float32[np.ndarray, "b s k"] | None = None

    @property
    def beside_audio(self) -> dict[str, np.ndarray]:
        """What a batch holds beside its sources."""
        names = ("gains", "notes", "labelled", "equalisers")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def ids(self) -> list[str]:
        """Names of the excerpts: track@second[stem,...], or one such per source, joined by +."""
        t = self.catalogue.tables
        names = []
        for stems, offsets in zip(self.stems, self.offsets, strict=True):
            tracks = t.track_ids[t.stem_tracks[stems]]
            seconds = offsets / t.sample_rate_hz
            ids = t.stem_ids[stems]
            if len(set(t.stem_tracks[stems])) == 1 and len(set(offsets)) == 1:
                names.append(f"{tracks[0]}@{seconds[0]:.3f}[{','.join(ids)}]")
            else:
                sources = zip(tracks, seconds, ids, strict=True)
                names.append("+".join(f"{track}@{s:.3f}[{stem}]" for track, s, stem in sources))
        return names


@dataclass(frozen=True)
class Excerpt:
    """One excerpt for evaluation.

    Args:
        id: the songs, moments and stems that it is made of.
        sources: waveforms with their gains.
        notes: what sounds in each source, in seconds from the first sample, ends cut at the last.
            A note that began before the excerpt has a negative onset: see `cut_notes`.
        labelled: whether the notes of each source are known; () for all of them.
    """

    id: str
    sources: Float32[np.ndarray, "s n"]
    notes: tuple[Notes, ...]
    labelled: tuple[bool, ...] = ()

    def __post_init__(self):
        if not self.labelled:
            object.__setattr__(self, "labelled", (True,) * len(self.notes))

    @property
    def cut_notes(self) -> tuple[Notes, ...]:
        """The notes as the excerpt alone has them: those that began before it begin at 0."""
        return tuple(
            Notes(np.maximum(notes.intervals, 0.0), notes.pitches, notes.velocities)
            for notes in self.notes
        )
