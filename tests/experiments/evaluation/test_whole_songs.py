"""Whole songs: all stems of an instrument together, only songs that have everything."""

import numpy as np
import pytest

from data_pipeline.prepared.catalogue import Catalogue
from experiments.evaluation.whole_songs import whole_songs
from experiments.training import data
from tests.tiny_run import RATE, SECONDS, prepare_data, tiny_config


def test_sources_and_notes_are_those_of_the_stems(tmp_path):
    root = prepare_data(tmp_path)
    songs = list(whole_songs(*data.song_plan(tiny_config(root), "test")))
    assert [song.id for song in songs] == ["Track00004", "Track00005"]
    catalogue = Catalogue.load(root)
    first = int(np.flatnonzero(catalogue.tables.stem_tracks == 4)[0])
    start = catalogue.tables.stem_pcm_start[first]
    samples = catalogue.pcm()[0][start : start + SECONDS * RATE]
    np.testing.assert_allclose(songs[0].sources[0], samples / 32768)
    assert songs[0].notes[0] == catalogue.notes(first)


def test_stems_of_one_instrument_are_one_source(tmp_path):
    names = ["piano", "drums"] * 2 + ["piano", "piano", "piano", "drums"]
    root = prepare_data(tmp_path, splits=("train", "test"), instruments=names)
    config = tiny_config(root)
    songs = list(whole_songs(*data.song_plan(config, "test")))
    assert [song.id for song in songs] == ["Track00003"]
    alone = tiny_config(root, instruments=("piano",))
    both = next(whole_songs(*data.song_plan(alone, "test")))
    assert len(both.notes[0]) == 2 * SECONDS
    assert np.abs(both.sources).max() > 0.3


def test_a_split_without_a_whole_song_is_named(tmp_path):
    root = prepare_data(tmp_path, splits=("train", "test"))
    catalogue, plan = data.song_plan(tiny_config(root), "test")
    catalogue.tables.stem_instruments[:] = "piano"
    with pytest.raises(ValueError, match=r"test: no song of .* has piano, drums together"):
        next(whole_songs(catalogue, plan))
    data._catalogue.cache_clear()


def test_a_key_that_two_players_strike_together_is_one_note(tmp_path):
    root = prepare_data(tmp_path, splits=("test",), instruments=["piano", "piano"])
    t = Catalogue.load(root).tables
    catalogue, plan = data.song_plan(tiny_config(root, instruments=("piano",)), "test")
    separate = next(whole_songs(catalogue, plan)).notes[0]
    rows = slice(t.note_start[1], t.note_start[2])
    catalogue.tables.pitches[rows] = catalogue.tables.pitches[: t.note_start[1]]
    catalogue.tables.onsets[rows] = catalogue.tables.onsets[: t.note_start[1]] + 0.04
    catalogue.tables.offsets[rows] = catalogue.tables.offsets[: t.note_start[1]] + 0.04
    together = next(whole_songs(catalogue, plan)).notes[0]
    assert len(separate) == 2 * len(together) == 2 * SECONDS
    np.testing.assert_allclose(together.onsets, catalogue.notes(0).onsets)
    np.testing.assert_allclose(together.offsets, catalogue.notes(1).offsets)
    data._catalogue.cache_clear()


def test_songs_too_short_for_an_excerpt_are_heard_whole(tmp_path):
    root = prepare_data(tmp_path, splits=("train", "test"))
    config = tiny_config(root, excerpt_seconds=100.0)
    with pytest.raises(ValueError, match="lower excerpt_seconds"):
        data.planner(config, "test")
    assert len(list(whole_songs(*data.song_plan(config, "test")))) == 2
