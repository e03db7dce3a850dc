"""Whole songs: all stems of an instrument together, only songs that have everything."""

import numpy as np
import pytest

from data_pipeline.prepared.catalogue import Catalogue
from experiments.evaluation.whole_songs import whole_songs
from experiments.training import data
from tests.tiny_run import RATE, SECONDS, prepare_data, tiny_config


def test_sources_and_notes_are_those_of_the_stems(tmp_path):
    root = prepare_data(tmp_path)
    songs = list(whole_songs(data.planner(tiny_config(root), "test")))
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
    songs = list(whole_songs(data.planner(config, "test", excerpt_seconds=1.0)))
    assert [song.id for song in songs] == ["Track00003"]
    alone = tiny_config(root, instruments=("piano",))
    both = next(whole_songs(data.planner(alone, "test", excerpt_seconds=1.0)))
    assert len(both.notes[0]) == 2 * SECONDS
    assert np.abs(both.sources).max() > 0.3


def test_a_split_without_a_whole_song_is_named(tmp_path):
    root = prepare_data(tmp_path, splits=("train", "test"))
    planner = data.planner(tiny_config(root), "test")
    planner.catalogue.tables.stem_instruments[:] = "piano"
    with pytest.raises(ValueError, match=r"test: no song of .* has piano, drums together"):
        next(whole_songs(planner))
    data._catalogue.cache_clear()
