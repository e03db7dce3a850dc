"""The search for sounding notes against a loop over all notes, and the bound on their number."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.notes import Notes
from data_pipeline.planning.notes import NoteTable
from data_pipeline.planning.planner import Planner
from tests.tiny_slakh import GRID, naive_notes, plan_config, tiny_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return tiny_catalogue(tmp_path_factory.mktemp("note_table"))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 6), st.floats(0, 6), st.integers(21, 108)), max_size=30),
    st.integers(0, 16000 * 4),
)
def test_random_notes_stay_in_the_window(catalogue, rows, offset):
    table = np.array(rows, np.float64).reshape(-1, 3)
    table = table[np.argsort(table[:, 0])]
    count = len(catalogue.tables.stem_ids)
    starts = np.zeros(count + 1, np.int64)
    starts[2:] = len(table)
    tables = dataclasses.replace(
        catalogue.tables,
        note_start=starts,
        onsets=table[:, 0],
        offsets=table[:, 0] + table[:, 1],
        pitches=table[:, 2].astype(np.int16),
        velocities=np.full(len(table), 9, np.int16),
    )
    search = NoteTable(tables, GRID, 24000)
    num_frames = GRID.num_frames(24000)
    assert search.max_notes(np.array([0, 2])) == 0
    num_notes = max(1, search.max_notes(np.arange(count)))
    notes = search.notes_of(np.array([[0, 1, 2]]), np.full((1, 3), offset), num_notes)[0]
    assert not notes[0].any()
    assert not notes[2].any()
    rows = notes[1][notes[1, :, 1] > 0]
    assert (rows[:, 0] >= -1).all()
    assert (rows[:, 0] < rows[:, 1]).all()
    assert (rows[:, 1] <= num_frames).all()
    notes = Notes(
        np.stack([tables.onsets, tables.offsets], 1), tables.pitches, np.full(len(table), 9)
    )
    assert sorted(map(tuple, rows.tolist())) == naive_notes(notes, offset / 16000, num_frames)


def test_the_number_of_notes_is_a_tight_bound(catalogue):
    search = NoteTable(catalogue.tables, GRID, 24000)
    for stem in (0, 3):
        notes = catalogue.notes(stem)
        counts = [
            len(naive_notes(notes, start / 16000, GRID.num_frames(24000)))
            for start in range(-8000, 6 * 16000, 400)
        ]
        assert max(counts) <= search.max_notes(np.array([stem])) <= max(counts) + 1
    assert Planner(catalogue, plan_config()).num_notes == 32
