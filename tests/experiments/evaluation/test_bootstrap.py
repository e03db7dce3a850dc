"""Intervals of means: against a plain loop, seeded, with scores missing, songs drawn whole."""

import numpy as np
import pytest

from experiments.evaluation import bootstrap
from experiments.evaluation.bootstrap import mean_intervals, song_of


def scores(num_items=30, seed=0):
    values = np.random.default_rng(seed).normal(size=(num_items, 2, 3))
    values[:20, 1, 2] = np.nan
    values[:, 0, 1] = np.nan
    return values


def songs_of(num_songs, num_items):
    """The songs of the items in turn, named so that they are in alphabetical order."""
    return [f"song {k % num_songs:03d}" for k in range(num_items)]


@pytest.mark.parametrize("num_songs", [30, 7])
def test_against_a_loop_over_resamples(monkeypatch, num_songs):
    monkeypatch.setattr(bootstrap, "NUM_RESAMPLES", 50)
    values, songs = scores(), songs_of(num_songs, 30)
    draws = np.random.default_rng(bootstrap.SEED).multinomial(
        num_songs, np.full(num_songs, 1 / num_songs), size=50
    )
    means = np.full((50, 2, 3), np.nan)
    for k, draw in enumerate(draws):
        items = [
            i for song in np.repeat(np.arange(num_songs), draw) for i in range(song, 30, num_songs)
        ]
        for s, m in np.ndindex(2, 3):
            drawn = values[items, s, m]
            if np.isfinite(drawn).any():
                means[k, s, m] = np.nanmean(drawn)
    each, overall = mean_intervals(values, songs)
    for s, m in ((0, 0), (1, 1), (1, 2)):
        np.testing.assert_allclose(each[:, s, m], np.nanquantile(means[:, s, m], [0.025, 0.975]))
    assert np.isnan(each[:, 0, 1]).all()
    np.testing.assert_allclose(overall[:, 0], np.quantile(means[:, :, 0].mean(1), [0.025, 0.975]))
    np.testing.assert_allclose(overall[:, 1], each[:, 1, 1])


def test_excerpts_of_one_song_tell_no_more_than_the_song():
    """Each song's score ten times over: as wide as with one excerpt a song, not narrower."""
    values = scores(40, seed=2)
    each, _ = mean_intervals(values, songs_of(40, 40))
    tenfold, _ = mean_intervals(np.tile(values, (10, 1, 1)), songs_of(40, 400))
    np.testing.assert_allclose(tenfold, each)
    single, _ = mean_intervals(np.tile(values, (10, 1, 1)), songs_of(400, 400))
    width = np.diff(each[:, 0, 0]) / np.diff(single[:, 0, 0])
    assert 2.5 < width[0] < 4  # the square root of ten


@pytest.mark.parametrize(
    ("excerpt_id", "song"),
    [
        ("Track01501@3.200[S00,S01]", "Track01501"),
        ("Track00002@1.000[S00]+Track00001@12.345[S03]", "Track00002+Track00001"),
        ("A@home[live]@0.000[S00]", "A@home[live]"),
        ("Track00004", "Track00004"),
    ],
)
def test_the_song_of_an_excerpt(excerpt_id, song):
    assert song_of(excerpt_id) == song


def test_seeded_and_about_as_wide_as_the_normal_interval():
    values = scores(400, seed=1)
    each, overall = mean_intervals(values, songs_of(400, 400))
    again = mean_intervals(values, songs_of(400, 400))
    np.testing.assert_array_equal(each, again[0])
    half = 1.96 * values[:, 0, 0].std() / 20
    np.testing.assert_allclose((each[1, 0, 0] - each[0, 0, 0]) / 2, half, rtol=0.1)
    assert (overall[1] - overall[0])[0] < (each[1] - each[0])[:, 0].max()


def test_too_few_songs_have_no_interval():
    for num_items, num_songs in ((0, 1), (1, 1), (5, 1)):
        each, overall = mean_intervals(np.zeros((num_items, 2, 3)), songs_of(num_songs, num_items))
        assert np.isnan(each).all() and np.isnan(overall).all()
        assert each.shape == (2, 2, 3) and overall.shape == (2, 3)
    values = np.full((6, 1, 2), np.nan)
    values[:, :, 0], values[::2, :, 1] = 1.0, 2.0  # the second of one song alone
    each, overall = mean_intervals(values, songs_of(2, 6))
    assert each[:, 0, 0].tolist() == [1, 1] and np.isnan(each[:, 0, 1]).all()
    assert np.isnan(overall[:, 1]).all()
