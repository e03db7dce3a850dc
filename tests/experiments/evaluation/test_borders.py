"""Which notes count at the borders of an excerpt: by hand, against mir_eval on what is left, and
from the prepared data to the scores."""

import itertools

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from data_pipeline.io.midi import read_notes
from data_pipeline.reading.excerpts import read_excerpts
from experiments.evaluation.estimate_files import EstimateFiles
from experiments.evaluation.excerpt_files import export_excerpts
from experiments.evaluation.note_scores import activity, score_notes
from experiments.evaluation.scoring import Estimate, Reference, score_item
from experiments.training import data
from tests.tiny_run import INSTRUMENTS, RATE, prepare_data, tiny_config

GRID = FrameGrid()
SECONDS = 5.0
NUM_SAMPLES = int(SECONDS * 16000)
FRAME = 1 / GRID.frame_rate_hz


def notes_of(*rows):
    """Notes from (onset, offset) of pitch 60, or (onset, offset, pitch)."""
    rows = [(*row, 60)[:3] for row in rows]
    table = np.array(rows, float).reshape(-1, 3)
    return Notes(table[:, :2], table[:, 2].astype(int), np.full(len(table), 90))


def scored(estimate, reference):
    return score_notes(estimate, reference, grid=GRID, num_samples=NUM_SAMPLES)


INSIDE = (2.0, 3.0)  # a note that is found in every case below, so that precision is defined


@pytest.mark.parametrize(
    ("case", "reference", "estimate", "precision", "recall"),
    [
        ("began before, heard", [(-1, 1)], [(0, 1)], 1, 1),
        ("began before, not heard", [(-1, 1)], [], 1, 1),
        ("began before, heard as another pitch", [(-1, 1)], [(0, 1, 61)], 1 / 2, 1),
        ("began before, heard within the tolerance", [(-1, 1)], [(0.05, 1)], 1, 1),
        ("began before, heard too late", [(-1, 1)], [(0.0502, 1)], 1 / 2, 1),
        ("began before, heard twice", [(-1, 1)], [(0, 0.02), (0.03, 1)], 1 / 2, 1),
        ("two began before, both heard", [(-1, 1), (-1, 1, 64)], [(0, 1), (0, 1, 64)], 1, 1),
        ("a tail under half a frame, not heard", [(-1, 0.4 * FRAME)], [], 1, 1),
        ("a tail under half a frame, heard", [(-1, 0.4 * FRAME)], [(0, FRAME)], 1, 1),
        ("ended before", [(-1, 0)], [(0, 1)], 1 / 2, 1),
        ("at exactly 0, heard", [(0, 1)], [(0, 1)], 1, 1),
        ("at exactly 0, not heard", [(0, 1)], [], 1, 1 / 2),
        ("struck again at 0, heard once", [(-1, 0), (0, 1)], [(0, 1)], 1, 1),
        ("struck again at once, heard once", [(-1, 0.03), (0.03, 1)], [(0, 1)], 1, 1),
        ("struck again, heard twice", [(-1, 0.03), (0.03, 1)], [(0, 0.02), (0.03, 1)], 1, 1),
        ("struck again, missed", [(-1, 0.04), (0.04, 1)], [], 1, 1 / 2),
        ("at the end, heard after it", [(4.99, 5)], [(5.02, 5.1)], 1, 1),
        ("after the end, not heard", [(5.0, 5.1)], [], 1, 1),
        ("after the end, invented", [], [(5.06, 6)], 1, 1),
        ("in the last frame, invented", [], [(5.0, 5.1)], 1 / 2, 1),
    ],
)
def test_by_hand(case, reference, estimate, precision, recall):
    scores = scored(notes_of(INSIDE, *estimate), notes_of(INSIDE, *reference))
    assert scores["onset_precision"] == pytest.approx(precision), case
    assert scores["onset_recall"] == pytest.approx(recall), case
    assert scores["false_notes_per_minute"] is None


@pytest.mark.parametrize("end", [4.9, 5.0, 5.1, 7.0])
def test_ends_are_cut_in_both(end):
    """The note lasts from 4 s to beyond the end; whoever says so is right about its end."""
    scores = scored(notes_of((4.0, end)), notes_of((4.0, 9.0)))
    assert scores["onset_f1"] == 1
    assert scores["onset_offset_f1"] == (end > 4.9 - 1e-9)  # a fifth of a second is allowed
    early = scored(notes_of((4.0, 4.7)), notes_of((4.0, 9.0)))
    assert (early["onset_f1"], early["onset_offset_f1"]) == (1, 0)


def test_the_same_estimates_are_left_out_whatever_their_ends():
    scores = scored(notes_of(INSIDE, (0, 0.1)), notes_of(INSIDE, (-1, 1)))
    assert scores["onset_offset_precision"] == scores["onset_offset_recall"] == 1


def test_only_notes_from_before():
    """Nothing to hit or miss: no onset scores but false notes, and frames as ever."""
    scores = scored(notes_of((0, 1), (0, 1, 62), (3, 4)), notes_of((-1, 1)))
    assert scores["onset_f1"] is None and scores["onset_offset_recall"] is None
    assert scores["false_notes_per_minute"] == pytest.approx(2 * 60 / SECONDS)
    assert scores["frame_recall"] == 1


def test_frames_count_all_that_sounds():
    """From 0 on; a tail under half a frame has one frame, as any note has at least one."""
    num_frames = GRID.num_frames(NUM_SAMPLES)
    held = activity(notes_of((-1, 0.5), (-1, 0.4 * FRAME, 62), (4.5, 9, 64)), GRID, num_frames)
    assert np.flatnonzero(held[:, 60 - 21]).tolist() == list(range(round(0.5 / FRAME)))
    assert np.flatnonzero(held[:, 62 - 21]).tolist() == [0]
    assert held[round(4.5 / FRAME) :, 64 - 21].all() and held[:, 64 - 21].sum() == 32
    cut = scored(notes_of((0, 1)), notes_of((0, 1)))
    before = scored(notes_of((0, 1)), notes_of((-1, 1)))
    for metric in ("frame_precision", "frame_recall", "frame_f1"):
        assert before[metric] == cut[metric]


def for_mir_eval(notes):
    return notes.intervals, mir_eval.util.midi_to_hz(notes.pitches)


def by_trying(estimate, reference):
    """mir_eval's onset scores after as many estimates as possible were left out: those without
    which no hit is lost, and which could all be notes from before."""
    counted = reference.select(reference.onsets >= 0)
    before = reference.select(reference.onsets < 0)
    before = Notes(np.maximum(before.intervals, 0), before.pitches, before.velocities)

    def num_pairs(estimates, references):
        if not len(estimates) or not len(references):
            return 0
        pair = (*for_mir_eval(references), *for_mir_eval(estimates))
        return len(mir_eval.transcription.match_notes(*pair, offset_ratio=None))

    everyone = range(len(estimate))
    for size in range(len(before), -1, -1):
        for left_out in itertools.combinations(everyone, size):
            remaining = estimate.select([k for k in everyone if k not in left_out])
            if num_pairs(remaining, counted) == num_pairs(estimate, counted) and (
                num_pairs(estimate.select(list(left_out)), before) == size
            ):
                if not len(remaining):
                    return 0.0, 0.0, 0.0
                pair = (*for_mir_eval(counted), *for_mir_eval(remaining))
                return mir_eval.transcription.precision_recall_f1_overlap(*pair, offset_ratio=None)[
                    :3
                ]
    raise AssertionError("nothing left out loses no hit")


_pitch = st.sampled_from([60, 61])
_early = st.integers(0, 12).map(lambda hundredths: hundredths / 100)
_estimate = st.tuples(_early, st.just(1.0), _pitch)
_counted = st.tuples(_early, st.just(1.0), _pitch)
_before = st.tuples(st.sampled_from([-1.0, -0.01]), st.sampled_from([0.004, 0.02, 1.0]), _pitch)


@settings(max_examples=150, deadline=None)
@given(
    estimate=st.lists(_estimate, max_size=6),
    counted=st.lists(_counted, min_size=1, max_size=4),
    before=st.lists(_before, max_size=3),
)
def test_against_mir_eval_on_what_is_left(estimate, counted, before):
    estimate, reference = notes_of(*estimate), notes_of(*counted, *before)
    scores = scored(estimate, reference)
    ours = [scores[f"onset_{part}"] for part in ("precision", "recall", "f1")]
    np.testing.assert_allclose(ours, by_trying(estimate, reference), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    estimate=st.lists(_estimate, max_size=6),
    counted=st.lists(_counted, min_size=1, max_size=4),
    before=st.lists(_before, max_size=3),
)
def test_notes_from_before_change_no_recall_and_lower_no_precision(estimate, counted, before):
    estimate = notes_of(*estimate)
    alone, among = (
        scored(estimate, notes_of(*counted)),
        scored(estimate, notes_of(*counted, *before)),
    )
    for kind in ("onset", "onset_offset"):
        assert among[f"{kind}_recall"] == alone[f"{kind}_recall"]
        assert alone[f"{kind}_precision"] <= among[f"{kind}_precision"] <= 1


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """Notes of the tiny data last the first half of every second; excerpts begin anywhere."""
    config = tiny_config(prepare_data(tmp_path_factory.mktemp("data")))
    return data.planner(config, "test", excerpt_seconds=1.7)


def excerpts_of(planner):
    return list(read_excerpts(planner, 12))


def test_excerpts_say_what_began_before(planner):
    """The onsets are those of the song; cut, they are what a window of the song has."""
    catalogue, begun_before = planner.catalogue, 0
    for number, excerpt in enumerate(excerpts_of(planner)):
        k, row = divmod(number, planner.config.batch_size)
        batch = planner.batch(k, rows=slice(row, row + 1))
        for stem, offset, notes, cut in zip(
            batch.stems[0], batch.offsets[0], excerpt.notes, excerpt.cut_notes, strict=True
        ):
            begin = offset / RATE
            song = catalogue.notes(int(stem))
            assert cut == song.window(begin, begin + 1.7)
            assert set(np.round(notes.onsets + begin, 9)) <= set(np.round(song.onsets, 9))
            assert len(notes) == len(cut)
            assert notes.offsets.max() <= 1.7 + 1e-9
            begun_before += int((notes.onsets < 0).sum())
    assert begun_before > 3


def test_what_was_struck_inside_is_all_there_is_to_find(planner):
    for excerpt in excerpts_of(planner):
        reference = Reference.of(excerpt, INSTRUMENTS)
        inside = {name: n.select(n.onsets >= 0) for name, n in reference.notes.items()}
        for notes in (inside, dict(zip(INSTRUMENTS, excerpt.cut_notes, strict=True))):
            scores = score_item(
                Estimate(None, notes), reference, instruments=INSTRUMENTS, grid=GRID
            )
            for name in INSTRUMENTS:
                assert scores[name]["onset_f1"] == 1
            assert scores["piano"]["onset_offset_f1"] == 1


def test_files_for_other_tools_begin_at_0_and_are_scored_by_the_rule(planner, tmp_path):
    export_excerpts(planner, tmp_path, count=12)
    files = EstimateFiles.find(tmp_path / "references", INSTRUMENTS, RATE, count=12)
    excerpts = excerpts_of(planner)
    for number, (excerpt, estimate) in enumerate(zip(excerpts, files.read(excerpts), strict=True)):
        written = read_notes(tmp_path / "references" / f"{number:04d}" / "transcription.mid")
        assert len(written) == sum(map(len, excerpt.notes))
        assert written.onsets.min() >= 0
        scores = score_item(
            estimate, Reference.of(excerpt, INSTRUMENTS), instruments=INSTRUMENTS, grid=GRID
        )
        assert all(scores[name]["onset_f1"] == 1 for name in INSTRUMENTS)
