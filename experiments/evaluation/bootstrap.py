"""Bootstrap intervals of means over items (Efron, 1979): percentiles of resampled means.

Songs are drawn, each with all its items: excerpts of one song are alike, and drawn one by one they
would make the intervals too narrow. All instruments and metrics are drawn together, so the interval
of a mean over the instruments knows how their scores go together.
"""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

NUM_RESAMPLES = 1000
SEED = 0
CONFIDENCE = 0.95


def song_of(excerpt_id: str) -> str:
    """The song of an excerpt: its id without the moments and stems; songs joined by + are one."""
    return re.sub(r"@\d+\.\d+\[[^\]]*\]", "", excerpt_id)


def mean_intervals(
    values: Float[np.ndarray, "i s m"], songs: Sequence[str]
) -> tuple[Float[np.ndarray, "2 s m"], Float[np.ndarray, "2 m"]]:
    """Lower and upper end of the 95 % interval of each mean; the same items, the same intervals.

    Args:
        values: scores of the items, by instrument and metric; NaN where there is none.
        songs: the song of each item.

    Returns:
        the intervals of each instrument's means, and those of the means of these over the
        instruments; NaN where fewer than two songs have the score.
    """
    shape = values.shape[1:]
    names, song = np.unique(np.asarray(songs, str), return_inverse=True)
    if len(names) < 2:
        return np.full((2, *shape), np.nan), np.full((2, shape[1]), np.nan)
    draws = np.random.default_rng(SEED).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=NUM_RESAMPLES
    )
    draws = draws[:, song]  # how often each item is in each resample
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat)
    counts = (draws @ known).reshape(-1, *shape)
    sums = (draws @ np.where(known, flat, 0.0)).reshape(-1, *shape)
    means = _divide(sums, counts)
    scored = (counts > 0).sum(1)
    overall = _divide(np.where(counts > 0, means, 0.0).sum(1), scored)
    num_songs = sum(known[song == k].any(0).astype(int) for k in range(len(names)))
    enough = num_songs.reshape(shape) >= 2
    return (
        np.where(enough, _percentiles(means), np.nan),
        np.where(enough.any(0), _percentiles(overall), np.nan),
    )


def resampled_means(
    values: Float[np.ndarray, "k i s m"], songs: Sequence[str]
) -> Float[np.ndarray, "r m"]:
    """Means over instruments of k runs on the same items, of which runs are drawn and then songs,
    each with all its items. Draws depend on the numbers of runs and songs alone, so that those of
    two networks on the same items are pairs.

    Args:
        values: scores of the items, by run, instrument and metric; NaN where there is none.
        songs: the song of each item.

    Returns:
        a mean for every draw and metric; NaN where nothing has the score, and everywhere where
        there are fewer than two songs.
    """
    names, song = np.unique(np.asarray(songs, str), return_inverse=True)
    if len(names) < 2:
        return np.full((1, values.shape[-1]), np.nan)
    draws = [
        np.random.default_rng([SEED, size]).multinomial(
            size, np.full(size, 1 / size), size=NUM_RESAMPLES
        )
        for size in (len(values), len(names))
    ]
    known = np.isfinite(values)
    sums, counts = 0.0, 0.0
    for run in range(len(values)):
        of_songs = draws[0][:, run, None] * draws[1]
        for k in range(len(names)):
            rows = song == k
            weight = of_songs[:, k, None, None]
            sums = sums + weight * np.where(known[run], values[run], 0.0)[rows].sum(0)
            counts = counts + weight * known[run][rows].sum(0)
    means = _divide(sums, counts)
    return _divide(np.where(counts > 0, means, 0.0).sum(1), (counts > 0).sum(1))


def interval_95(means: Float[np.ndarray, "r m"]) -> Float[np.ndarray, "2 m"]:
    """Lower and upper end of what `resampled_means` gives, or of differences of such."""
    return _percentiles(means)


def _divide(sums, counts):
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _percentiles(means):
    """Of the first axis, NaN left out; NaN where there is nothing else."""
    tail = (1 - CONFIDENCE) / 2
    empty = np.isnan(means).all(0)
    filled = np.where(empty, 0.0, means)
    return np.where(empty, np.nan, np.nanquantile(filled, [tail, 1 - tail], axis=0))
