"""The tables over records, and those of several corpora as one."""

import dataclasses

import numpy as np
import pytest

from data_pipeline.prepared.tables import Tables


def _record(track_id, pcm_start, *, instruments, note_stems):
    count, num_notes = len(instruments), len(note_stems)
    return {
        "track_id": track_id,
        "num_samples": 3200,
        "sample_rate_hz": 16000,
        "stems": {
            "id": [f"S{i:02d}" for i in range(count)],
            "instrument": list(instruments),
            "program": [0] * count,
            "is_drum": [False] * count,
            "is_labelled": [bool(i % 2) for i in range(count)],
            "pcm_start": [pcm_start + 3200 * i for i in range(count)],
        },
        "rms_hop": 1600,
        "rms_db": np.arange(2 * count, dtype=np.float16) - pcm_start / 3200,
        "note_stems": np.array(note_stems, np.int16),
        "onsets": np.arange(num_notes, dtype=float),
        "offsets": np.arange(num_notes) + 0.5,
        "pitches": np.arange(60, 60 + num_notes, dtype=np.int16),
        "velocities": np.full(num_notes, 90, np.int16),
    }


@pytest.fixture(scope="module")
def tables():
    """Track A (bass, piano) and B (piano) of train, C (guitar) of test, whose PCM lies in A B C."""
    first = _record("A", 0, instruments=("bass", "piano"), note_stems=(1, 1, 1))
    second = _record("B", 6400, instruments=("piano",), note_stems=())
    third = _record("C", 9600, instruments=("guitar",), note_stems=(0, 0))
    return Tables.of_records({"test": [third], "train": [second, first]})


def test_tracks_are_in_the_order_of_their_pcm(tables):
    assert tables.track_ids.tolist() == ["A", "B", "C"]
    assert tables.track_splits.tolist() == ["train", "train", "test"]
    assert tables.stem_tracks.tolist() == [0, 0, 1, 2]
    assert tables.stem_instruments.tolist() == ["bass", "piano", "piano", "guitar"]
    assert tables.stem_is_labelled.tolist() == [False, True, False, False]
    assert tables.stem_pcm_start.tolist() == [0, 3200, 6400, 9600]
    assert (tables.sample_rate_hz, tables.rms_hop) == (16000, 1600)


def test_every_stem_has_its_own_notes_and_rms(tables):
    assert tables.note_start.tolist() == [0, 0, 3, 3, 5]
    assert tables.pitches.tolist() == [60, 61, 62, 60, 61]
    assert tables.rms_start.tolist() == [0, 2, 4, 6, 8]
    assert tables.rms_db.tolist() == [0, 1, 2, 3, -2, -1, -3, -2]


def test_joined_tables_point_where_they_should(tables):
    joined = Tables.joined([tables, tables])
    count = len(tables.stem_ids)
    assert joined.track_corpora.tolist() == [0] * 3 + [1] * 3
    for stem in range(count):
        twin = stem + count
        assert (
            joined.track_ids[joined.stem_tracks[twin]] == tables.track_ids[tables.stem_tracks[stem]]
        )
        for start, values in (("note_start", "onsets"), ("rms_start", "rms_db")):
            pointers, own = getattr(joined, start), getattr(tables, start)
            np.testing.assert_array_equal(
                getattr(joined, values)[pointers[twin] : pointers[twin + 1]],
                getattr(tables, values)[own[stem] : own[stem + 1]],
            )


def test_corpora_of_different_rates_cannot_be_joined(tables):
    slower = dataclasses.replace(tables, sample_rate_hz=8000)
    with pytest.raises(ValueError, match="share one sample rate"):
        Tables.joined([tables, slower])


def _arrays(tables):
    return {name: np.asarray(value) for name, value in vars(tables).items()}


def test_stored_arrays_become_the_same_tables(tables):
    again = Tables.checked(_arrays(tables))
    for name, value in vars(tables).items():
        np.testing.assert_array_equal(getattr(again, name), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate_hz": 0}, "sample_rate_hz of at least 1 expected, got 0"),
        ({"rms_hop": -3}, "rms_hop of at least 1 expected, got -3"),
        ({"rms_start": [0, 2, 1, 6, 8]}, "rms_start: rising numbers from 0 to 8 expected"),
        ({"rms_start": [1, 2, 4, 6, 8]}, "rms_start: rising numbers from 0 to 8 expected"),
        (
            {"rms_start": [0, 2, 4, 8], "note_start": [0, 0, 3, 5]},
            "rms_start: rising numbers from 0 to 8 expected",
        ),
        ({"note_start": [0, 0, 3, 3, 6]}, "note_start: rising numbers from 0 to 5 expected"),
        ({"stem_pcm_start": [0, 3200, -1, 9600]}, "stems with a first sample and a length"),
        ({"track_num_samples": [3200, -1, 3200]}, "stems with a first sample and a length"),
        ({"stem_tracks": [0, 1, 0, 2]}, "stem_tracks: rising numbers below 3 expected"),
        ({"stem_tracks": [-1, 0, 1, 2]}, "stem_tracks: rising numbers below 3 expected"),
        ({"stem_tracks": [0, 0, 1, 3]}, "stem_tracks: rising numbers below 3 expected"),
    ],
)
def test_arrays_that_point_nowhere_are_named(tables, change, message):
    arrays = _arrays(tables)
    for name, values in change.items():
        arrays[name] = np.array(values, arrays[name].dtype)
    with pytest.raises(ValueError, match=message):
        Tables.checked(arrays)


def test_tables_without_stems_are_refused(tables):
    stems = {name: value[:0] for name, value in _arrays(tables).items() if name.startswith("stem_")}
    none = {"rms_start": np.array([0]), "rms_db": np.zeros(0, np.float16)}
    none |= {"note_start": np.array([0])}
    none |= {name: np.zeros(0) for name in ("onsets", "offsets")}
    none |= {name: np.zeros(0, np.int16) for name in ("pitches", "velocities")}
    with pytest.raises(ValueError, match="stems with a first sample and a length expected"):
        Tables.checked(_arrays(tables) | stems | none)
