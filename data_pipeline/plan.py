"""What the batch of step k is: which stems, from which sample on, how loud, with which notes.

A function of the configuration and k alone: all draws come from a Philox generator keyed by (seed,
split, k), so a resumed run, another host or a run with more reader threads meets the same batches.
With `fixed` the key is (seed, split, number of the excerpt), so that a list of excerpts does not
depend on the batch size either.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int, Int16, Int64

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline.activity import Activity, find_activity, usable_stems
from data_pipeline.augment import MOST_SEMITONES, Augmenter, cut_notes
from data_pipeline.catalogue import ALIGNED_SAMPLES, Catalogue
from data_pipeline.fetch import read_sources
from data_pipeline.note_table import NoteTable
from data_pipeline.plan_errors import explain_unusable
from data_pipeline.transforms import gain_of_db, scale_sources

_NOTES_MULTIPLE = 32


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
        if not 0 <= self.augment_semitones <= MOST_SEMITONES:
            raise ValueError(
                f"augment_semitones must lie in 0..{MOST_SEMITONES}, got {self.augment_semitones}"
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
        catalogue: the prepared data.
        shifts: semitones by which each source is resampled; None for none.
    """

    stems: Int64[np.ndarray, "b s"]
    corpora: Int[np.ndarray, "b s"]
    starts: Int64[np.ndarray, "b s"]
    offsets: Int64[np.ndarray, "b s"]
    gains: Float32[np.ndarray, "b s"]
    notes: Int16[np.ndarray, "b s m 3"]
    catalogue: Catalogue = field(repr=False)
    shifts: Int64[np.ndarray, "b s"] | None = None

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
                parts = zip(tracks, seconds, ids, strict=True)
                names.append("+".join(f"{track}@{s:.3f}[{stem}]" for track, s, stem in parts))
        return names


@dataclass(frozen=True)
class Excerpt:
    """One excerpt for evaluation: sources with their gains, and exact notes cut to the window."""

    id: str
    sources: Float32[np.ndarray, "s n"]
    notes: tuple[Notes, ...]


class Planner:
    """Plans the batches of one split.

    Args:
        catalogue: the prepared data.
        config: what to draw.

    Raises:
        ValueError: if the split has no usable track for the instruments, or the rates differ.
    """

    def __init__(self, catalogue: Catalogue, config: PlanConfig):
        t = catalogue.tables
        if config.grid.sample_rate_hz != t.sample_rate_hz:
            raise ValueError(
                f"audio.sample_rate_hz is {config.grid.sample_rate_hz}, but {catalogue.root} was "
                f"prepared at {t.sample_rate_hz}"
            )
        unknown = sorted(set(config.corpora) - {"", *catalogue.corpora})
        if unknown:
            raise ValueError(
                f"data.corpora: {unknown} not in {catalogue.root}, which holds "
                f"{', '.join(catalogue.corpora)}"
            )
        self.catalogue, self.config = catalogue, config
        corpora = config.corpora or ("",) * len(config.instruments)
        slots = list(zip(config.instruments, corpora, strict=True))
        stems = [usable_stems(catalogue, name, corpus, config.split) for name, corpus in slots]
        self.activity: Activity = find_activity(
            catalogue, stems, num_samples=config.num_samples, threshold_db=config.active_rms_db
        )
        message = explain_unusable(catalogue, config, stems, self.activity)
        if message:
            raise ValueError(message)
        self._table = NoteTable(catalogue.tables, config.grid, config.num_samples)
        all_splits = [usable_stems(catalogue, name, corpus, None) for name, corpus in slots]
        every = np.unique(np.concatenate(all_splits))
        most = self._table.most_notes(every, most_semitones=config.augment_semitones)
        self._num_notes = max(1, math.ceil(most / _NOTES_MULTIPLE)) * _NOTES_MULTIPLE

    @property
    def num_notes(self) -> int:
        """Rows of notes per source: no excerpt of any split has more; a multiple of 32."""
        return self._num_notes

    def batch(self, k: int, *, rows: slice = slice(None)) -> PlannedBatch:
        """The batch of step k, or some rows of it."""
        return self.batches([k], rows=rows)

    def batches(self, steps: Sequence[int], *, rows: slice = slice(None)) -> PlannedBatch:
        """The batches of some steps, one after the other, in one: arrays of a few hundred numbers
        are planned in hardly more time than those of one step."""
        if min(steps) < 0:
            raise ValueError(f"Planner.batch: k must not be negative, got {min(steps)}")
        config, t = self.config, self.catalogue.tables
        draws = self._draws(steps, rows, b"plan", 2 + 5 * len(config.instruments))
        stems, cells = self._pick(draws)
        num_slots = len(config.instruments)
        within, gain = draws[:, 2 + 3 * num_slots :], draws[:, 2 + 4 * num_slots :]
        within = np.where(self._coherent(draws)[:, None], within[:, :1], within[:, :num_slots])
        tracks = t.stem_tracks[stems]
        grain = math.gcd(t.cell, ALIGNED_SAMPLES)
        latest = (t.track_num_samples[tracks] - config.num_samples) // grain * grain
        inside = (within * (t.cell // grain)).astype(np.int64) * grain
        offsets = np.minimum(cells * t.cell + inside, latest)
        decibels = (2 * gain[:, :num_slots] - 1) * config.gain_db
        gains, shifts = gain_of_db(decibels), None
        if config.augment_polarity or config.augment_semitones:
            augment = Augmenter(t, self._table, config)
            more = self._draws(steps, rows, b"augment", augment.num_draws)
            coherent = self._coherent(draws)
            shifts, signs, offsets, notes = augment(more, coherent, stems, offsets, self._num_notes)
            gains = gains * signs
        else:
            notes = self._table.notes_of(stems, offsets, self._num_notes)
        return PlannedBatch(
            stems=stems,
            corpora=t.track_corpora[tracks],
            starts=t.stem_pcm_start[stems] + offsets,
            offsets=offsets,
            gains=gains,
            notes=notes,
            catalogue=self.catalogue,
            shifts=shifts,
        )

    def excerpts(self, count: int, *, first: int = 0) -> Iterator[Excerpt]:
        """`count` excerpts from number `first` on, one by one, in the order of the batches."""
        t, pcm = self.catalogue.tables, self.catalogue.pcm()
        length = self.config.num_samples / t.sample_rate_hz
        for index in range(first, first + count):
            k, row = divmod(index, self.config.batch_size)
            planned = self.batch(k, rows=slice(row, row + 1))
            sources = read_sources(planned, pcm, self.config.num_samples)
            shifts = np.zeros_like(planned.stems) if planned.shifts is None else planned.shifts
            begin = planned.offsets[0] / t.sample_rate_hz
            notes = tuple(
                cut_notes(self.catalogue.notes(stem), at, length, shift, t.sample_rate_hz)
                for stem, at, shift in zip(
                    planned.stems[0].tolist(), begin.tolist(), shifts[0].tolist(), strict=True
                )
            )
            yield Excerpt(planned.ids[0], scale_sources(sources, planned.gains)[0], notes)

    def _draws(self, steps: Sequence[int], rows: slice, purpose: bytes, columns: int) -> np.ndarray:
        """Uniforms in [0, 1), one row per excerpt.

        Columns of a plan: coherent or not, joint track; per slot cell, track, stem; offsets; gains.
        """
        config = self.config
        key = (config.seed, zlib.crc32(config.split.encode()), zlib.crc32(purpose))
        if not config.fixed:
            shape = (config.batch_size, columns)
            return np.concatenate([_generator(*key, k).random(shape)[rows] for k in steps])
        size = config.batch_size
        numbers = [i for k in steps for i in range(k * size, (k + 1) * size)[rows]]
        return np.stack([_generator(*key, i).random(columns) for i in numbers])

    def _coherent(self, draws: np.ndarray) -> np.ndarray:
        return draws[:, 0] < self.config.coherent_probability

    def _pick(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stems and start cells [b s]."""
        coherent = self._coherent(draws)
        shape = (len(draws), len(self.config.instruments))
        stems, cells = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        if coherent.any():
            joint_track, joint_cell = self.activity.joint.pick(
                draws[coherent, 1], draws[coherent, 2]
            )
        for slot in range(shape[1]):
            cell_draw, track_draw, stem_draw = draws[:, 2 + 3 * slot : 5 + 3 * slot].T
            track, cell = np.zeros(len(draws), np.int64), np.zeros(len(draws), np.int64)
            if coherent.any():
                track[coherent], cell[coherent] = joint_track, joint_cell
            if not coherent.all():
                track[~coherent], cell[~coherent] = self.activity.slots[slot].pick(
                    track_draw[~coherent], cell_draw[~coherent]
                )
            stems[:, slot] = self.activity.choose(slot, track, cell, stem_draw)
            cells[:, slot] = cell
        return stems, cells


def _generator(seed: int, split: int, purpose: int, k: int) -> np.random.Generator:
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF, split << 32 | purpose], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, k, 0]))
