"""The tables of prepared data: every stem, its notes, how loud it is, where its PCM lies.

Plain numpy. Tables over stems point into flat arrays by `[start[i], start[i + 1])`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float16, Float32, Float64, Int16, Int32, Int64

from data_pipeline.io.arrays import check_arrays


@dataclass(frozen=True, eq=False)
class Tables:
    """The arrays of a catalogue, k tracks and s stems; stems are sorted by track.

    Args:
        sample_rate_hz: of all PCM.
        rms_hop: samples per value of `rms_db`.
        track_ids: names of the tracks.
        track_splits: their splits.
        track_corpora: index into the names of the corpora.
        track_num_samples: their lengths.
        track_gains: what all stems of a track were multiplied by against the corpus, where they
            exceed full scale; otherwise 1.
        stem_tracks: track of each stem.
        stem_ids: names within the track.
        stem_instruments: classes.
        stem_programs: program numbers as the corpus gives them.
        stem_is_drum: whether it is a drum kit.
        stem_is_labelled: whether its notes are known; without, it has none here although it sounds.
        stem_pcm_start: first sample in the PCM file of its corpus.
        rms_start: pointers into `rms_db`.
        rms_db: RMS of consecutive pieces of `rms_hop` samples, in dB re full scale.
        note_start: pointers into the four arrays of notes.
        onsets: seconds.
        offsets: seconds.
        pitches: MIDI numbers, all within the 88 keys.
        velocities: 1 to 127.
    """

    sample_rate_hz: int
    rms_hop: int
    track_ids: np.ndarray
    track_splits: np.ndarray
    track_corpora: Int32[np.ndarray, " k"]
    track_num_samples: Int64[np.ndarray, " k"]
    track_gains: Float32[np.ndarray, " k"]
    stem_tracks: Int32[np.ndarray, " s"]
    stem_ids: np.ndarray
    stem_instruments: np.ndarray
    stem_programs: Int32[np.ndarray, " s"]
    stem_is_drum: Bool[np.ndarray, " s"]
    stem_is_labelled: Bool[np.ndarray, " s"]
    stem_pcm_start: Int64[np.ndarray, " s"]
    rms_start: Int64[np.ndarray, " s_plus_1"]
    rms_db: Float16[np.ndarray, " r"]
    note_start: Int64[np.ndarray, " s_plus_1"]
    onsets: Float64[np.ndarray, " m"]
    offsets: Float64[np.ndarray, " m"]
    pitches: Int16[np.ndarray, " m"]
    velocities: Int16[np.ndarray, " m"]

    @classmethod
    def checked(cls, arrays: Mapping[str, np.ndarray]) -> "Tables":
        """The tables of stored arrays, by field; of a time when no track was scaled, all gains
        are one.

        Raises:
            ValueError: naming the array that is missing, or is not as it should be.
        """
        if "track_gains" not in arrays and "track_ids" in arrays:
            gains = np.ones(np.shape(arrays["track_ids"]), np.float32)
            arrays = {**arrays, "track_gains": gains}
        check_arrays(arrays, _FORMS)
        values = {field.name: arrays[field.name] for field in fields(cls)}
        for name in ("sample_rate_hz", "rms_hop"):
            values[name] = int(values[name])
            if values[name] < 1:
                raise ValueError(f"{name} of at least 1 expected, got {values[name]}")
        tables = cls(**values)
        tables.check_pointers()
        return tables

    def check_pointers(self) -> None:
        """Raise a ValueError that names the array that points out of another one."""
        num_stems = len(self.stem_tracks)
        for name, into in (("rms_start", self.rms_db), ("note_start", self.onsets)):
            starts = getattr(self, name)
            is_rising = len(starts) and starts[0] == 0 and (np.diff(starts) >= 0).all()
            if len(starts) != num_stems + 1 or not is_rising or starts[-1] != len(into):
                raise ValueError(f"{name}: rising numbers from 0 to {len(into)} expected")
        if not num_stems or (self.stem_pcm_start < 0).any() or (self.track_num_samples < 0).any():
            raise ValueError("stems with a first sample and a length expected")
        is_rising = (np.diff(self.stem_tracks) >= 0).all() and self.stem_tracks[0] >= 0
        if not is_rising or self.stem_tracks[-1] >= len(self.track_ids):
            raise ValueError(f"stem_tracks: rising numbers below {len(self.track_ids)} expected")

    @classmethod
    def of_records(cls, records: Mapping[str, Sequence[dict]]) -> "Tables":
        """The tables over the records of one corpus, its tracks in the order of their PCM.

        Args:
            records: for every split the records of its tracks, of the form of `records.features`.
        """
        tracks = [(split, record) for split, of_split in records.items() for record in of_split]
        tracks.sort(key=lambda track: track[1]["stems"]["pcm_start"][0])
        splits, rows = zip(*tracks, strict=True)
        num_stems = [len(row["stems"]["id"]) for row in rows]
        num_rms = [len(row["rms_db"]) // count for row, count in zip(rows, num_stems, strict=True)]
        num_notes = [
            np.bincount(row["note_stems"], minlength=count)
            for row, count in zip(rows, num_stems, strict=True)
        ]

        def per_stem(name, dtype=None):
            return np.concatenate([np.asarray(row["stems"][name], dtype) for row in rows])

        def flat(name, dtype):
            return np.concatenate([np.asarray(row[name], dtype) for row in rows])

        tables = cls(
            sample_rate_hz=int(rows[0]["sample_rate_hz"]),
            rms_hop=int(rows[0]["rms_hop"]),
            track_ids=np.array([row["track_id"] for row in rows]),
            track_splits=np.array(splits),
            track_corpora=np.zeros(len(rows), np.int32),
            track_num_samples=np.array([row["num_samples"] for row in rows], np.int64),
            track_gains=np.array([row.get("gain", 1.0) for row in rows], np.float32),
            stem_tracks=np.repeat(np.arange(len(rows), dtype=np.int32), num_stems),
            stem_ids=per_stem("id"),
            stem_instruments=per_stem("instrument"),
            stem_programs=per_stem("program", np.int32),
            stem_is_drum=per_stem("is_drum", np.bool_),
            stem_is_labelled=per_stem("is_labelled", np.bool_),
            stem_pcm_start=per_stem("pcm_start", np.int64),
            rms_start=_pointers(np.repeat(num_rms, num_stems)),
            rms_db=flat("rms_db", np.float16),
            note_start=_pointers(np.concatenate(num_notes)),
            onsets=flat("onsets", np.float64),
            offsets=flat("offsets", np.float64),
            pitches=flat("pitches", np.int16),
            velocities=flat("velocities", np.int16),
        )
        tables.check_pointers()
        return tables

    @classmethod
    def joined(cls, tables: Sequence["Tables"]) -> "Tables":
        """Several corpora as one, in order; `track_corpora` says which.

        Raises:
            ValueError: if their sample rates differ.
        """
        rates = sorted({(of_corpus.sample_rate_hz, of_corpus.rms_hop) for of_corpus in tables})
        if len(rates) != 1:
            raise ValueError(
                "the corpora of one directory must share one sample rate, got (sample_rate_hz, "
                f"rms_hop) {rates}; prepare them anew at one rate, or into a directory each"
            )
        if len(tables) == 1:
            return tables[0]
        result = {"sample_rate_hz": rates[0][0], "rms_hop": rates[0][1]}
        for field in fields(cls)[2:]:
            arrays = [getattr(of_corpus, field.name) for of_corpus in tables]
            if field.name == "track_corpora":
                arrays = [np.full(len(a), i, np.int32) for i, a in enumerate(arrays)]
            elif field.name == "stem_tracks":
                before = np.cumsum([0] + [len(of_corpus.track_ids) for of_corpus in tables])
                arrays = [(a + b).astype(np.int32) for a, b in zip(arrays, before, strict=False)]
            elif field.name in ("rms_start", "note_start"):
                before = np.cumsum([0] + [a[-1] for a in arrays])
                arrays = [a[:-1] + b for a, b in zip(arrays, before, strict=False)] + [before[-1:]]
            result[field.name] = np.concatenate(arrays)
        return cls(**result)


# Kind of each array, and the names of its axes.
_FORMS = {
    **dict.fromkeys(("sample_rate_hz", "rms_hop"), ("i", "")),
    **dict.fromkeys(("track_ids", "track_splits"), ("U", "tracks")),
    **dict.fromkeys(("track_corpora", "track_num_samples"), ("i", "tracks")),
    **dict.fromkeys(("stem_tracks", "stem_programs", "stem_pcm_start"), ("i", "stems")),
    **dict.fromkeys(("stem_ids", "stem_instruments"), ("U", "stems")),
    **dict.fromkeys(("stem_is_drum", "stem_is_labelled"), ("b", "stems")),
    **dict.fromkeys(("rms_start", "note_start"), ("i", "pointers")),
    "track_gains": ("f", "tracks"),
    "rms_db": ("f", "rms"),
    **dict.fromkeys(("onsets", "offsets"), ("f", "notes")),
    **dict.fromkeys(("pitches", "velocities"), ("i", "notes")),
}


def _pointers(counts: np.ndarray) -> Int64[np.ndarray, " n_plus_1"]:
    """Where each of consecutive pieces of these lengths begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
