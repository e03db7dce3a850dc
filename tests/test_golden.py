"""The evaluator against stored and independent scores: mir_eval's fixtures through MIDI files, and
mir_eval.separation where it defines the same quantity."""

import json
import warnings

import mir_eval
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.metrics import si_bss_eval
from cerberus_jax.notes import Notes
from data_pipeline.io.midi import Part, read_notes, write_midi
from experiments.evaluation.note_scores import score_notes

# At 120 bpm and 9600 ticks a beat; a time moves by at most half of it, 0.026 ms.
TICK_SECONDS = 0.5 / 9600
STORED = {
    "onset_precision": "Precision_no_offset",
    "onset_recall": "Recall_no_offset",
    "onset_f1": "F-measure_no_offset",
    "onset_offset_precision": "Precision",
    "onset_offset_recall": "Recall",
    "onset_offset_f1": "F-measure",
}


def through_midi(path, folder):
    """A fixture's notes before and after a MIDI file."""
    intervals, hertz = mir_eval.io.load_valued_intervals(path)
    pitches = np.rint(mir_eval.util.hz_to_midi(hertz)).astype(int)
    notes = Notes(intervals, pitches, np.full(len(hertz), 90))
    write_midi(folder / "notes.mid", _voices(notes))
    return notes, read_notes(folder / "notes.mid")


def test_fixtures_through_midi_files_keep_their_stored_scores(samples, tmp_path):
    """Exactly, unless ticks decide about a pair at a tolerance: then by such pairs at most."""
    files = sorted((samples / "mir_eval_transcription").glob("output*.json"))
    assert len(files) == 10
    exact = 0
    for file in files:
        number = file.stem.removeprefix("output")
        pairs = [through_midi(file.with_name(f"{k}{number}.txt"), tmp_path) for k in ("est", "ref")]
        for before, after in pairs:
            assert sorted(before.pitches) == sorted(after.pitches)
            np.testing.assert_allclose(
                np.sort(after.onsets), before.onsets, atol=0.51 * TICK_SECONDS
            )
        end = max(notes.offsets.max() for _, notes in pairs)
        scores = score_notes(
            pairs[0][1], pairs[1][1], grid=FrameGrid(), num_samples=int(16000 * end) + 1
        )
        doubtful = _changed_decisions(*pairs)
        allowed = doubtful / min(len(pairs[0][1]), len(pairs[1][1])) + 1e-9
        exact += not doubtful
        expected = json.loads(file.read_text())
        for ours, theirs in STORED.items():
            assert scores[ours] == pytest.approx(expected[theirs], abs=allowed), (file.name, ours)
    assert exact >= len(files) // 2


def _voices(notes):
    """Parts in which no key is struck while it is held: MIDI cannot say which of two ends first."""
    left, voices = np.arange(len(notes)), []
    while len(left):
        taken, free_from = [], {}
        for k in left:
            if notes.onsets[k] > free_from.get(notes.pitches[k], -1.0):
                taken.append(k)
                free_from[notes.pitches[k]] = notes.offsets[k] + 2 * TICK_SECONDS
        voices.append(Part("piano", 0, False, notes.select(np.array(taken))))
        left = np.setdiff1d(left, taken)
    return voices


def _changed_decisions(estimates, references):
    """Pairs that match before the MIDI file and not after it, or the other way round."""
    before, after = (
        _matching(*(sorted_by_key(pair[k]) for pair in (estimates, references))) for k in range(2)
    )
    return int((before != after).sum())


def sorted_by_key(notes):
    order = np.lexsort((notes.offsets, notes.onsets, notes.pitches))
    return notes.intervals[order], notes.pitches[order]


def _matching(estimate, reference):
    """mir_eval's two decisions about each pair of equal pitch, times rounded to 0.1 ms as there."""
    (intervals, pitches), (true_intervals, keys) = estimate, reference
    away = np.round(np.abs(intervals[:, None] - true_intervals), 4)
    tolerance = np.maximum(0.05, 0.2 * (true_intervals[:, 1] - true_intervals[:, 0]))
    hits = np.stack([away[..., 0] <= 0.05, away[..., 1] <= tolerance])
    return hits & (pitches[:, None] == keys)


def test_sir_and_sar_are_those_of_mir_eval_with_filters_of_one_tap(monkeypatch):
    """BSS Eval projects on delayed copies of the references; without delays its interference and
    artefacts are ours, and so is SDR for references that do not correlate."""
    rng = np.random.default_rng(0)
    references = np.linalg.qr(rng.standard_normal((4000, 3)))[0].T
    mixing = np.eye(3) + 0.3 * rng.standard_normal((3, 3))
    estimates = mixing @ references + 0.01 * rng.standard_normal((3, 4000))
    decompose = mir_eval.separation._bss_decomp_mtifilt
    monkeypatch.setattr(
        mir_eval.separation,
        "_bss_decomp_mtifilt",
        lambda reference, estimate, j, flen: decompose(reference, estimate, j, 1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        sdr, sir, sar, order = mir_eval.separation.bss_eval_sources(references, estimates, False)
    assert order.tolist() == [0, 1, 2]
    scores = si_bss_eval(estimates, references)
    np.testing.assert_allclose(scores.si_sdr, sdr, atol=1e-6)
    np.testing.assert_allclose(scores.si_sir, sir, atol=1e-6)
    # Theirs compares target and interference together with the artefacts, ours the target alone.
    target, interference = 10 ** (np.asarray(scores.si_sar) / 10), 10 ** (-np.asarray(sir) / 10)
    np.testing.assert_allclose(10 * np.log10(target * (1 + interference)), sar, atol=1e-6)
