"""Whole songs: all stems of an instrument together, only songs that have everything."""

from dataclasses import replace

import numpy as np
import pytest

from cerberus_jax.inference import Predictor
from data_pipeline.catalogue import Catalogue, Tables
from experiments import data
from experiments.songs import whole_songs, with_silent_heads
from tests.tiny_network import tiny_model
from tests.tiny_run import RATE, SECONDS, prepare_data, tiny_config


def with_instruments(root, names):
    """The stems of the catalogue renamed."""
    path = root / "tiny" / "1.0.0" / "catalogue.npz"
    tables = Tables.load(path)
    tables.stem_instruments[:] = names
    tables.save(path)


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
    root = prepare_data(tmp_path, splits=("train", "test"))
    with_instruments(root, ["piano", "drums"] * 2 + ["piano", "piano", "piano", "drums"])
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


@pytest.mark.parametrize("head", ["mask_inference", "transcription"])
def test_heads_that_are_added_change_nothing_and_say_nothing(head):
    alone = Predictor.untrained(tiny_model(heads=("deep_clustering", head)))
    waveform = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    sources, rolls = alone.predict_batch(waveform)
    found = replace(with_silent_heads(alone), exact=True).predict(waveform, 16000)
    if head == "mask_inference":
        np.testing.assert_allclose(found.sources[:, 0], sources[0], atol=1e-5)
        assert not found.rolls.any()
        assert not any(map(len, found.notes.values()))
    else:
        np.testing.assert_allclose(found.rolls, rolls[0], atol=1e-6)
        np.testing.assert_allclose(found.sources[0], found.sources[1])


def test_a_network_with_both_heads_stays_what_it_is():
    predictor = Predictor.untrained(tiny_model(heads=("mask_inference", "transcription")))
    assert with_silent_heads(predictor) is predictor
