"""Bootstrap intervals of means over items (Efron, 1979): percentiles of resampled means.

Items are drawn whole, all instruments and metrics together, so the interval of a mean over the
instruments knows how their scores go together. Excerpts of one song count as separate items.
"""

import numpy as np
from jaxtyping import Float

NUM_RESAMPLES = 1000
SEED = 0
CONFIDENCE = 0.95


def mean_intervals(
    values: Float[np.ndarray, "i s m"],
) -> tuple[Float[np.ndarray, "2 s m"], Float[np.ndarray, "2 m"]]:
    """Lower and upper end of the 95 % interval of each mean; the same items, the same intervals.

    Args:
        values: scores of the items, by instrument and metric; NaN where there is none.

    Returns:
        the intervals of each instrument's means, and those of the means of these over the
        instruments; NaN where fewer than two items have the score.
    """
    num_items, shape = len(values), values.shape[1:]
    if num_items < 2:
        return np.full((2, *shape), np.nan), np.full((2, shape[1]), np.nan)
    draws = np.random.default_rng(SEED).multinomial(
        num_items, np.full(num_items, 1 / num_items), size=NUM_RESAMPLES
    )
    flat = values.reshape(num_items, -1)
    known = np.isfinite(flat)
    counts = (draws @ known).reshape(-1, *shape)
    sums = (draws @ np.where(known, flat, 0.0)).reshape(-1, *shape)
    means = _divide(sums, counts)
    scored = (counts > 0).sum(1)
    overall = _divide(np.where(counts > 0, means, 0.0).sum(1), scored)
    enough = known.sum(0).reshape(shape) >= 2
    return (
        np.where(enough, _percentiles(means), np.nan),
        np.where(enough.any(0), _percentiles(overall), np.nan),
    )


def _divide(sums, counts):
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _percentiles(means):
    """Of the first axis, NaN left out; NaN where there is nothing else."""
    rest = (1 - CONFIDENCE) / 2
    empty = np.isnan(means).all(0)
    filled = np.where(empty, 0.0, means)
    return np.where(empty, np.nan, np.nanquantile(filled, [rest, 1 - rest], axis=0))
