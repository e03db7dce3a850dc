"""What the batch of step k is: which stems, from which sample on, how loud, with which notes.

A function of the configuration and k alone: all draws come from a Philox generator keyed by (seed,
split, k), so a resumed run, another host or a run with more reader threads meets the same batches.
With `fixed` the key is (seed, split, number of the excerpt), so that a list of excerpts does not
depend on the batch size either.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np

from cerberus_jax.equaliser import OCTAVES_HZ
from data_pipeline.instruments import REST
from data_pipeline.io.pcm import gain_of_db
from data_pipeline.planning.activity import Activity, find_activity, usable_stems
from data_pipeline.planning.augment import Augmenter
from data_pipeline.planning.batch import PlanConfig, PlannedBatch
from data_pipeline.planning.notes import NoteTable
from data_pipeline.planning.unusable import explain_unusable
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import ALIGNED_SAMPLES

_NOTES_MULTIPLE = 32


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
        stems = [
            usable_stems(catalogue, name, corpus, config.split, config.instruments)
            for name, corpus in slots
        ]
        self.activity: Activity = find_activity(
            catalogue, stems, num_samples=config.num_samples, threshold_db=config.active_rms_db
        )
        message = explain_unusable(catalogue, config, stems, self.activity)
        if message:
            raise ValueError(message)
        self._table = NoteTable(catalogue.tables, config.grid, config.num_samples)
        all_splits = [
            usable_stems(catalogue, name, corpus, None, config.instruments)
            for name, corpus in slots
        ]
        bound = self._table.max_notes(
            np.unique(np.concatenate(all_splits)), max_semitones=config.augment_semitones
        )
        self._num_notes = max(1, math.ceil(bound / _NOTES_MULTIPLE)) * _NOTES_MULTIPLE

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
        stems, positions = self._pick(draws)
        num_slots = len(config.instruments)
        within, gain = draws[:, 2 + 3 * num_slots :], draws[:, 2 + 4 * num_slots :]
        within = np.where(self._coherent(draws)[:, None], within[:, :1], within[:, :num_slots])
        tracks = t.stem_tracks[stems]
        grain = math.gcd(t.rms_hop, ALIGNED_SAMPLES)
        latest = (t.track_num_samples[tracks] - config.num_samples) // grain * grain
        inside = (within * (t.rms_hop // grain)).astype(np.int64) * grain
        offsets = np.minimum(positions * t.rms_hop + inside, latest)
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
        labelled = t.stem_is_labelled[stems]
        if config.silence_probability or config.rest_probability < 1:
            silent = self._silent(self._draws(steps, rows, b"silence", 1 + num_slots))
            gains, labelled = np.where(silent, np.float32(0), gains), labelled | silent
            notes = np.where(silent[..., None, None], np.int16(0), notes)
        return PlannedBatch(
            stems=stems,
            corpora=t.track_corpora[tracks],
            starts=t.stem_pcm_start[stems] + offsets,
            offsets=offsets,
            gains=gains,
            notes=notes,
            labelled=labelled,
            catalogue=self.catalogue,
            shifts=shifts,
            equalisers=self._equalisers(steps, rows),
        )

    def _equalisers(self, steps: Sequence[int], rows: slice) -> np.ndarray | None:
        limit, num_slots = self.config.augment_equaliser_db, len(self.config.instruments)
        if not limit:
            return None
        draws = self._draws(steps, rows, b"equaliser", num_slots * len(OCTAVES_HZ))
        return ((2 * draws - 1) * limit).reshape(-1, num_slots, len(OCTAVES_HZ)).astype(np.float32)

    def _draws(self, steps: Sequence[int], rows: slice, purpose: bytes, columns: int) -> np.ndarray:
        """Uniforms in [0, 1), one row per excerpt.

        Columns of a plan: coherent or not, joint track; per slot position, track, stem; offsets;
        gains.
        """
        config = self.config
        key = (config.seed, zlib.crc32(config.split.encode()), zlib.crc32(purpose))
        if not config.fixed:
            shape = (config.batch_size, columns)
            return np.concatenate([_generator(*key, k).random(shape)[rows] for k in steps])
        size = config.batch_size
        numbers = [i for k in steps for i in range(k * size, (k + 1) * size)[rows]]
        return np.stack([_generator(*key, i).random(columns) for i in numbers])

    def _silent(self, draws: np.ndarray) -> np.ndarray:
        """Which sources are silent [b s], from uniforms; the first column says who is not."""
        config = self.config
        silence = np.full(draws.shape[1] - 1, float(config.silence_probability))
        may_be_chosen = np.arange(len(silence))
        if config.rest_probability < 1:
            is_rest = np.array([name == REST for name in config.instruments])
            silence[is_rest] = 1 - (1 - silence[is_rest]) * config.rest_probability
            may_be_chosen = np.flatnonzero(~is_rest) if not is_rest.all() else may_be_chosen
        silent = draws[:, 1:] < silence
        sounding = may_be_chosen[(draws[:, 0] * len(may_be_chosen)).astype(np.int64)]
        silent[np.arange(len(silent)), sounding] = False
        return silent

    def _coherent(self, draws: np.ndarray) -> np.ndarray:
        return draws[:, 0] < self.config.coherent_probability

    def _pick(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stems and start positions [b s]."""
        coherent = self._coherent(draws)
        shape = (len(draws), len(self.config.instruments))
        stems, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        if coherent.any():
            joint_track, joint_position = self.activity.joint.pick(
                draws[coherent, 1], draws[coherent, 2]
            )
        for slot in range(shape[1]):
            position_draw, track_draw, stem_draw = draws[:, 2 + 3 * slot : 5 + 3 * slot].T
            track, position = np.zeros(len(draws), np.int64), np.zeros(len(draws), np.int64)
            if coherent.any():
                track[coherent], position[coherent] = joint_track, joint_position
            if not coherent.all():
                track[~coherent], position[~coherent] = self.activity.slots[slot].pick(
                    track_draw[~coherent], position_draw[~coherent]
                )
            stems[:, slot] = self.activity.choose(slot, track, position, stem_draw)
            positions[:, slot] = position
        return stems, positions


def _generator(seed: int, split: int, purpose: int, k: int) -> np.random.Generator:
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF, split << 32 | purpose], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, k, 0]))
