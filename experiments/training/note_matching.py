"""How many notes two sorted lists have in common: the same numbers of pairs as mir_eval's largest
matchings, in milliseconds.

Notes of all items and pitches lie on one axis of *places*, far enough apart that none of another
item or pitch is within the tolerance.
"""

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float
from scipy.sparse.csgraph import maximum_bipartite_matching

from experiments.evaluation.note_scores import (
    MIN_INTERVAL_SECONDS,
    OFFSET_RATIO,
    ONSET_TOLERANCE_SECONDS,
    TIME_DECIMALS,
)


def matched_onsets(
    references: Float[np.ndarray, " n"], estimates: Float[np.ndarray, " m"]
) -> Bool[np.ndarray, " n"]:
    """The references that have a partner of their own within the tolerance; both are sorted."""
    reference, estimate = _near(references, estimates)
    return _have_partners(reference, estimate, (len(references), len(estimates)))


def matched_notes(
    references: Float[np.ndarray, " n"],
    reference_lengths: Float[np.ndarray, " n"],
    estimates: Float[np.ndarray, " m"],
    estimate_lengths: Float[np.ndarray, " m"],
) -> Bool[np.ndarray, " n"]:
    """The references that have a partner of their own with the same onset and offset; the places
    of onsets are sorted, the lengths are in seconds."""
    reference, estimate = _near(references, estimates)
    lengths = np.maximum(reference_lengths, MIN_INTERVAL_SECONDS)[reference]
    ends = references[reference] + lengths
    estimate_ends = (estimates + np.maximum(estimate_lengths, MIN_INTERVAL_SECONDS))[estimate]
    tolerance = np.maximum(OFFSET_RATIO * lengths, ONSET_TOLERANCE_SECONDS)
    fits = np.round(np.abs(estimate_ends - ends), TIME_DECIMALS) <= tolerance
    return _have_partners(reference[fits], estimate[fits], (len(references), len(estimates)))


def _near(references, estimates):
    """All pairs of a reference and an estimate whose onsets agree."""
    reach = ONSET_TOLERANCE_SECONDS + 10.0**-TIME_DECIMALS
    first = np.searchsorted(estimates, references - reach)
    counts = np.searchsorted(estimates, references + reach, side="right") - first
    reference = np.repeat(np.arange(len(references)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    estimate = np.repeat(first, counts) + within
    distance = np.abs(estimates[estimate] - references[reference])
    agree = np.round(distance, TIME_DECIMALS) <= ONSET_TOLERANCE_SECONDS
    return reference[agree], estimate[agree]


def _have_partners(reference, estimate, shape: tuple[int, int]) -> Bool[np.ndarray, " n"]:
    """The references that a largest matching of these pairs gives a partner."""
    pairs = scipy.sparse.csr_array((np.ones(len(reference), bool), (reference, estimate)), shape)
    return maximum_bipartite_matching(pairs, perm_type="column") >= 0
