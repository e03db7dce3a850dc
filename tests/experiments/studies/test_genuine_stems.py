"""Clicks at window borders and the sums of a song's stems, against a second computation."""

import json
import statistics

import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.prepared.catalogue import Catalogue
from experiments.evaluation.result_table import RESULTS_FILE
from experiments.evaluation.scoring import Reference
from experiments.studies import genuine_stems
from tests.tiny_run import INSTRUMENTS, tiny_config, write_run
from tests.tiny_slakh import tiny_catalogue

RATE = FrameGrid().sample_rate_hz


def test_clicks_are_found_where_results_jump():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(2, 4000)), 1), 1)
    signals, moved = smooth, smooth + np.array([[50.0], [5.0]])
    borders, near = np.array([1000, 3000]), 40
    measured = genuine_stems.click_measures(
        signals, moved, borders, moved_borders=np.array([2000]), near=near
    )
    for row, values in enumerate(measured):
        at = [n for n in range(4000) if min(abs(n - 1000), abs(n - 3000)) <= near]
        rest = [n for n in range(4000) if n not in at and abs(n - 2000) > near]
        for places, name in ((at, "near"), (rest, "elsewhere")):
            error = sum((signals[row, n] - moved[row, n]) ** 2 for n in places)
            ratio_db = 10 * np.log10(error / sum(signals[row, n] ** 2 for n in places))
            assert values[f"difference_{name}_db"] == pytest.approx(ratio_db)
        jumps = [*signals[row, :1000], *moved[row, 1000:3000], *signals[row, 3000:]]
        usual = sorted(_bend(signals[row], n) for n in rest)
        usual = np.interp(0.999 * (len(usual) - 1), range(len(usual)), usual)
        for kind, signal in zip(
            genuine_stems.KINDS, (signals[row], moved[row], jumps), strict=True
        ):
            roughness = max(_bend(signal, n) for n in at) / usual
            assert values[f"roughness{kind}"] == pytest.approx(roughness)
            clicks = [
                max(_bend(signal, n) for n in range(b - 2, b + 3))
                / statistics.median(_bend(signal, n) for n in range(b - near, b + near))
                for b in borders.tolist()
            ]
            assert values[f"click{kind}"] == pytest.approx(max(clicks))
    assert measured[0]["click_with_jumps"] > 5 * measured[0]["click"]


def _bend(signal, n):
    """The second difference; the ends go on as they are."""
    before, after = signal[max(n - 1, 0)], signal[min(n + 1, len(signal) - 1)]
    return abs(before - 2 * signal[n] + after)


def test_the_whole_song(tmp_path):
    catalogue = tiny_catalogue(tmp_path)
    song = genuine_stems.whole_song(catalogue, ("guitar", "bass"))
    folder = tmp_path / "raw/validation/Track01501"
    guitars = [folder / f"stems/{key}.flac" for key in ("S01", "S05")]
    expected = sum(read_mono_pcm16(path, RATE) / 32768 for path in guitars)
    np.testing.assert_allclose(song.sources[0], expected, atol=1e-6)
    t = catalogue.tables
    of_track = t.track_ids[t.stem_tracks] == "Track01501"
    stems = {key: int(np.flatnonzero(of_track & (t.stem_ids == key))[0]) for key in t.stem_ids[:7]}
    guitar_notes = [catalogue.notes(stems[key]) for key in ("S01", "S05")]
    assert song.notes["guitar"] == Notes.joined(guitar_notes).without_unisons(0.05)
    assert len(song.notes["bass"]) == len(catalogue.notes(stems["S02"]))
    missing = Catalogue.load(tmp_path / "out")
    missing.tables.track_ids[:] = "Track00001"
    with pytest.raises(ValueError, match="--root: validation/Track01501 expected"):
        genuine_stems.whole_song(missing, ("bass",))


def test_scores_stand_beside_those_of_the_run(tmp_path, capsys):
    """Where the run has some; the song's own are those of score_item (tested there)."""
    run = write_run(tmp_path, tiny_config(tmp_path))
    sources = np.random.default_rng(0).normal(0, 0.1, (2, RATE)).astype(np.float32)
    note = Notes(np.array([[0.1, 0.5]]), np.array([60]), np.array([90]))
    reference = Reference(sources, dict.fromkeys(INSTRUMENTS, note))
    predictor = Predictor.load(run)
    figures, _ = genuine_stems._score_song(reference, predictor, run)
    assert figures["demo"] is None
    assert "which it lacks" in capsys.readouterr().out
    of_run = dict.fromkeys(genuine_stems.SHOWN_SCORES, 0.25)
    results = {
        "instruments": list(INSTRUMENTS),
        "split": "test",
        "step": 1,
        "num_items": 1,
        "per_instrument": dict.fromkeys(INSTRUMENTS, of_run),
        "mean": of_run,
    }
    (run / RESULTS_FILE).write_text(json.dumps(results))
    figures, _ = genuine_stems._score_song(reference, predictor, run)
    assert figures["demo"] == dict.fromkeys(INSTRUMENTS, of_run)
    assert capsys.readouterr().out.count("0.25") == len(INSTRUMENTS) * len(of_run)
