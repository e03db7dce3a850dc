"""Notes: order, windows, transposition; every refusal by its message."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes

TIMES = st.floats(0, 100, allow_nan=False)
ROWS = st.lists(st.tuples(TIMES, TIMES, st.integers(0, 127), st.integers(1, 127)), max_size=30)


def make(rows) -> Notes:
    """Notes from (onset, offset, pitch, velocity) rows, onset and offset put in order."""
    return Notes(
        np.array([sorted(row[:2]) for row in rows], np.float64).reshape(-1, 2),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[3] for row in rows], np.int64),
    )


def rows_of(notes: Notes) -> list:
    return [
        (float(on), float(off), int(pitch), int(velocity))
        for (on, off), pitch, velocity in zip(
            notes.intervals, notes.pitches, notes.velocities, strict=True
        )
    ]


def test_the_keys_are_those_of_a_piano():
    assert LOWEST_PITCH == 21
    assert LOWEST_PITCH + NUM_PITCHES - 1 == 108


@given(ROWS)
def test_notes_come_out_sorted_and_complete(rows):
    notes = make(rows)
    expected = sorted((min(on, off), max(on, off), pitch, vel) for on, off, pitch, vel in rows)
    assert sorted(rows_of(notes)) == expected
    keys = [(row[0], row[2]) for row in rows_of(notes)]
    assert keys == sorted(keys)
    assert len(notes) == len(rows)


@given(ROWS, st.randoms())
def test_the_order_of_the_input_does_not_matter(rows, random):
    unique = list({(min(row[:2]), row[2]): row for row in rows}.values())
    shuffled = list(unique)
    random.shuffle(shuffled)
    assert make(unique) == make(shuffled)


@given(ROWS, TIMES, st.floats(0.01, 50))
def test_a_window_keeps_what_sounds_in_it(rows, start, length):
    end = start + length
    expected = []
    for on, off, pitch, velocity in rows_of(make(rows)):
        if on < end and off > start:
            cut = (max(on, start) - start, min(off, end) - start)
            expected.append((*cut, pitch, velocity))
    found = rows_of(make(rows).window(start, end))
    assert sorted(found) == sorted(expected)


def test_a_window_shares_a_note_at_its_border_with_the_next():
    notes = make([(1.0, 3.0, 60, 90)])
    assert rows_of(notes.window(0.0, 2.0)) == [(1.0, 2.0, 60, 90)]
    assert rows_of(notes.window(2.0, 4.0)) == [(0.0, 1.0, 60, 90)]
    assert len(notes.window(3.0, 4.0)) == 0


@given(ROWS, st.integers(-130, 130))
def test_transposing_moves_or_drops(rows, semitones):
    notes = make(rows)
    moved = notes.transposed(semitones)
    expected = [row for row in rows_of(notes) if 0 <= row[2] + semitones <= 127]
    assert rows_of(moved) == [(on, off, p + semitones, v) for on, off, p, v in expected]


@given(ROWS)
def test_selecting_by_mask_and_by_index_agree(rows):
    notes = make(rows)
    keep = notes.velocities > 64
    assert notes.select(keep) == notes.select(np.flatnonzero(keep))
    np.testing.assert_array_equal(notes.select(keep).onsets, notes.onsets[keep])
    np.testing.assert_array_equal(notes.select(keep).offsets, notes.offsets[keep])


def test_empty_notes():
    assert len(Notes.empty()) == 0
    assert Notes.empty().intervals.shape == (0, 2)
    assert Notes.empty() == make([])
    assert len(Notes.empty().window(0.0, 10.0).transposed(3)) == 0


def test_equality_looks_at_every_field():
    one = make([(0.0, 1.0, 60, 90)])
    assert one == make([(0.0, 1.0, 60, 90)])
    for other in [(0.5, 1.0, 60, 90), (0.0, 2.0, 60, 90), (0.0, 1.0, 61, 90), (0.0, 1.0, 60, 91)]:
        assert one != make([other])
    assert one != [(0.0, 1.0, 60, 90)]


def test_a_note_of_no_length_is_kept():
    assert len(make([(1.0, 1.0, 36, 100)])) == 1


def build(*, intervals=((0.0, 1.0),), pitches=(60,), velocities=(90,)):
    return Notes(
        np.array(intervals, np.float64), np.array(pitches, np.int64), np.array(velocities, np.int64)
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pitches": (60, 62)}, "equal lengths|pitches"),
        ({"intervals": ((1.0, 0.5),)}, "end no earlier than they begin"),
        ({"intervals": ((0.0, np.nan),)}, "must be finite"),
        ({"intervals": ((-np.inf, 0.0),)}, "must be finite"),
        ({"pitches": (128,)}, r"0\.\.127, got 128\.\.128"),
        ({"pitches": (-1,)}, r"0\.\.127, got -1\.\.-1"),
        ({"velocities": (0,)}, r"1\.\.127, got 0\.\.0"),
        ({"velocities": (128,)}, r"1\.\.127, got 128\.\.128"),
    ],
)
def test_bad_notes_are_refused(fields, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build(**fields)


def test_joined_parts_are_sorted_together():
    early = Notes(np.array([[0.0, 1.0]]), np.array([60]), np.array([90]))
    late = Notes(np.array([[0.5, 1.0], [2.0, 3.0]]), np.array([50, 61]), np.array([80, 70]))
    found = Notes.joined([late, early])
    assert found.pitches.tolist() == [60, 50, 61]
    assert found.velocities.tolist() == [90, 80, 70]
    assert Notes.joined([]) == Notes.empty()


@given(ROWS, ROWS, st.sampled_from([0.0, 0.05, 3.0]))
def test_unisons_are_one_note(rows, others, seconds):
    """By taking the notes of a key away one group after another, of two players with many notes in
    common."""
    notes = make([*rows, *rows[::2], *others])
    expected, left = [], sorted(map(tuple, _rows_of(notes)))
    while left:
        onset, _, pitch, _ = left[0]
        group = [row for row in left if row[2] == pitch and row[0] - onset <= seconds]
        expected.append((onset, max(r[1] for r in group), pitch, max(r[3] for r in group)))
        left = [row for row in left if row not in group]
    assert notes.without_unisons(seconds) == make(expected)


def _rows_of(notes):
    times = notes.intervals.tolist()
    return [
        (*time, *own) for time, *own in zip(times, notes.pitches, notes.velocities, strict=True)
    ]
