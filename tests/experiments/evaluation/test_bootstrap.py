"""Intervals of means: against a plain loop, seeded, with scores missing."""

import numpy as np

from experiments.evaluation import bootstrap
from experiments.evaluation.bootstrap import mean_intervals


def scores(num_items=30, seed=0):
    values = np.random.default_rng(seed).normal(size=(num_items, 2, 3))
    values[:20, 1, 2] = np.nan
    values[:, 0, 1] = np.nan
    return values


def test_against_a_loop_over_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "NUM_RESAMPLES", 50)
    values = scores()
    draws = np.random.default_rng(bootstrap.SEED).multinomial(30, np.full(30, 1 / 30), size=50)
    means = np.full((50, 2, 3), np.nan)
    for k, draw in enumerate(draws):
        items = np.repeat(np.arange(30), draw)
        for s, m in np.ndindex(2, 3):
            found = values[items, s, m]
            if np.isfinite(found).any():
                means[k, s, m] = np.nanmean(found)
    each, overall = mean_intervals(values)
    for s, m in ((0, 0), (1, 1), (1, 2)):
        np.testing.assert_allclose(each[:, s, m], np.nanquantile(means[:, s, m], [0.025, 0.975]))
    assert np.isnan(each[:, 0, 1]).all()
    np.testing.assert_allclose(overall[:, 0], np.quantile(means[:, :, 0].mean(1), [0.025, 0.975]))
    np.testing.assert_allclose(overall[:, 1], each[:, 1, 1])


def test_seeded_and_about_as_wide_as_the_normal_interval():
    values = scores(400, seed=1)
    each, overall = mean_intervals(values)
    again = mean_intervals(values)
    np.testing.assert_array_equal(each, again[0])
    half = 1.96 * values[:, 0, 0].std() / 20
    np.testing.assert_allclose((each[1, 0, 0] - each[0, 0, 0]) / 2, half, rtol=0.1)
    assert (overall[1] - overall[0])[0] < (each[1] - each[0])[:, 0].max()


def test_too_few_items_have_no_interval():
    for num_items in (0, 1):
        each, overall = mean_intervals(np.zeros((num_items, 2, 3)))
        assert np.isnan(each).all() and np.isnan(overall).all()
        assert each.shape == (2, 2, 3) and overall.shape == (2, 3)
