"""The scores of one instrument's notes in one excerpt: frames, onsets, onsets with offsets.

Which notes count. A note counts where its onset lies inside the excerpt, in [0, length):

* A reference note that began before the excerpt and still sounds in it is *carried in*: nobody can
  hit or miss it.
* Whether what sounds in the first frames began there or before cannot be heard. So an estimate
  without a partner among the notes that count is left out where a note carried in could be its
  partner: same pitch, onset no later than the tolerance. Each note carried in excuses one estimate.
* An estimate that begins after the end, by more than the tolerance, is left out.
* Ends are cut at the end of the excerpt, those of the estimates too.

Frames count all that sounds: a note carried in begins at 0 there, and is at least one frame long.
"""

import mir_eval
import numpy as np
from jaxtyping import Bool, Float

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from data_pipeline.planning.rolls import note_frames

NOTE_METRICS = tuple(
    f"{kind}_{part}"
    for kind in ("frame", "onset", "onset_offset")
    for part in ("precision", "recall", "f1")
)
FALSE_NOTES = "false_notes_per_minute"

ONSET_TOLERANCE_SECONDS = 0.05
OFFSET_RATIO = 0.2
MIN_INTERVAL_SECONDS = 1e-3
FRAME_VELOCITY_THRESHOLD = 30  # a reference frame counts above this velocity (the authors' habit)
TIME_DECIMALS = 4  # mir_eval compares times rounded to these

Scores = dict[str, float | None]


def score_notes(
    estimate: Notes,
    reference: Notes,
    *,
    grid: FrameGrid,
    num_samples: int,
    with_offsets: bool = True,
) -> Scores:
    """Frame, onset and onset-offset scores, or false notes per minute; None for what is undefined.

    Onsets have no scores where no reference note counts: there are false notes instead. Frames have
    none where the reference is silent.

    Args:
        estimate: what was heard.
        reference: what is played; a note that began before the excerpt has a negative onset.
        grid: the frames.
        num_samples: length of the excerpt.
        with_offsets: score the ends of notes, too.
    """
    seconds = num_samples / grid.sample_rate_hz
    scores = dict.fromkeys((*NOTE_METRICS, FALSE_NOTES))
    scores |= _frame_scores(estimate, reference, grid, grid.num_frames(num_samples))
    counted, carried_in = split_at_borders(reference, seconds)
    estimate = _cut_ends(estimate.select(may_count(estimate.onsets, seconds)), seconds)
    num_hits = _num_matched(estimate, counted)
    num_excused = 0
    if len(carried_in):
        num_excused = _num_matched(estimate, Notes.joined([counted, carried_in])) - num_hits
    num_estimates = len(estimate) - num_excused
    if not len(counted):
        return scores | {FALSE_NOTES: num_estimates * 60 * grid.sample_rate_hz / num_samples}
    scores |= _match_scores("onset", num_hits, num_estimates, len(counted))
    if with_offsets:
        num_hits = _num_matched(estimate, counted, offset_ratio=OFFSET_RATIO)
        scores |= _match_scores("onset_offset", num_hits, num_estimates, len(counted))
    return scores


def split_at_borders(reference: Notes, seconds: float) -> tuple[Notes, Notes]:
    """The notes that count, with their ends cut; and those carried in, which begin at 0."""
    counted = (reference.onsets >= 0) & (reference.onsets < seconds)
    carried_in = reference.select((reference.onsets < 0) & (reference.offsets > 0))
    from_start = Notes(
        np.maximum(carried_in.intervals, 0.0), carried_in.pitches, carried_in.velocities
    )
    return _cut_ends(reference.select(counted), seconds), from_start


def may_count(onsets: Float[np.ndarray, " n"], seconds: float) -> Bool[np.ndarray, " n"]:
    """Which estimates begin inside, or so soon after the end that a note inside may be meant."""
    return np.round(onsets - seconds, TIME_DECIMALS) <= ONSET_TOLERANCE_SECONDS


def activity(notes: Notes, grid: FrameGrid, num_frames: int) -> Bool[np.ndarray, "t p"]:
    """Which keys are held in which frames; unlike a training roll, repeats are not set apart."""
    first, end = note_frames(np.maximum(notes.onsets, 0.0), notes.offsets, grid)
    keys = notes.pitches - LOWEST_PITCH
    on_keyboard = (keys >= 0) & (keys < NUM_PITCHES)
    steps = np.zeros((num_frames + 1, NUM_PITCHES), int)
    np.add.at(steps, (np.minimum(first, num_frames)[on_keyboard], keys[on_keyboard]), 1)
    np.add.at(steps, (np.minimum(end, num_frames)[on_keyboard], keys[on_keyboard]), -1)
    return steps.cumsum(0)[:-1] > 0


def _cut_ends(notes: Notes, seconds: float) -> Notes:
    """The notes with ends no later than `seconds`, or than their onset."""
    offsets = np.maximum(np.minimum(notes.offsets, seconds), notes.onsets)
    return Notes(np.stack([notes.onsets, offsets], axis=1), notes.pitches, notes.velocities)


def _num_matched(estimate: Notes, reference: Notes, *, offset_ratio: float | None = None) -> int:
    """Pairs of the largest matching; None as ratio: whatever their offsets."""
    if not len(estimate) or not len(reference):
        return 0
    pairs = mir_eval.transcription.match_notes(
        *_for_mir_eval(reference),
        *_for_mir_eval(estimate),
        onset_tolerance=ONSET_TOLERANCE_SECONDS,
        offset_ratio=offset_ratio,
        offset_min_tolerance=ONSET_TOLERANCE_SECONDS,
    )
    return len(pairs)


def _for_mir_eval(notes: Notes):
    """Intervals of at least 1 ms, and pitches in Hz."""
    intervals = notes.intervals.copy()
    intervals[:, 1] = np.maximum(intervals[:, 1], intervals[:, 0] + MIN_INTERVAL_SECONDS)
    return intervals, mir_eval.util.midi_to_hz(notes.pitches)


def _match_scores(kind: str, num_hits: int, num_estimates: int, num_references: int) -> Scores:
    precision, recall = num_hits / max(num_estimates, 1), num_hits / num_references
    return _precision_recall_f1(kind, precision, recall)


def _frame_scores(estimate: Notes, reference: Notes, grid: FrameGrid, num_frames: int) -> Scores:
    heard = reference.select(reference.velocities > FRAME_VELOCITY_THRESHOLD)
    true, estimated = activity(heard, grid, num_frames), activity(estimate, grid, num_frames)
    if not true.any():
        return {}
    num_hits = np.count_nonzero(true & estimated)
    precision = num_hits / max(np.count_nonzero(estimated), 1)
    return _precision_recall_f1("frame", precision, num_hits / np.count_nonzero(true))


def _precision_recall_f1(kind: str, precision: float, recall: float) -> Scores:
    f1 = 2 * precision * recall / (precision + recall) if precision and recall else 0.0
    return {f"{kind}_precision": precision, f"{kind}_recall": recall, f"{kind}_f1": f1}
