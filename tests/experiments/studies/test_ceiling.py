"""Scores of rolls and the alignment of audio and notes, against a second computation."""

import json

import mir_eval
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.notes import Notes
from experiments.studies import ceiling
from tests.tiny_run import prepare_data
from tests.tiny_slakh import random_notes

GRID = FrameGrid()
RATE = GRID.sample_rate_hz


def _notes(*rows):
    """Notes of (onset, offset, pitch)."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Notes(table[:, :2], table[:, 2].astype(int), np.full(len(table), 80))


def _frames(notes):
    """Pitch, first and end frame of each note."""
    for (onset, offset), pitch in zip(notes.intervals, notes.pitches.tolist(), strict=True):
        first = round(onset * GRID.frame_rate_hz)
        yield pitch, first, max(first + 1, round(offset * GRID.frame_rate_hz))


def _held(runs):
    return {(pitch, frame) for pitch, first, end in runs for frame in range(first, end)}


def _runs(notes, num_frames):
    """The notes of a roll, frame by frame and key by key: {(pitch, first frame, end frame)}."""
    held, onsets = _held(_frames(notes)), {note[:2] for note in _frames(notes)}
    runs, open_since = set(), {}
    for pitch in range(21, 109):
        for frame in range(num_frames + 1):
            # A struck key is a new note unless it was struck in the frame before too.
            struck = (pitch, frame) in onsets and (pitch, frame - 1) not in onsets
            if pitch in open_since and (struck or (pitch, frame) not in held):
                # A pause of one frame cannot be told from the frame cleared before a repeat.
                pause = (pitch, frame) not in held and (pitch, frame + 1) in onsets
                runs.add((pitch, open_since.pop(pitch), frame + pause))
            if (pitch, frame) in held:
                open_since.setdefault(pitch, frame)
    return runs


def _f1(runs, notes, offset_ratio):
    rows = np.array(sorted(runs, key=lambda run: run[1]), np.float64)
    return mir_eval.transcription.precision_recall_f1_overlap(
        *(notes.intervals, mir_eval.util.midi_to_hz(notes.pitches)),
        *(rows[:, 1:] / GRID.frame_rate_hz, mir_eval.util.midi_to_hz(rows[:, 0])),
        offset_ratio=offset_ratio,
    )[2]


def test_scores_of_rolls():
    trill = [(4.0 + 0.004 * k, 4.002 + 0.004 * k, 60) for k in range(12)]
    repeats = [(5.0 + 0.1 * k, 5.1 + 0.1 * k, 62) for k in range(5)]
    for number in range(3):
        plain = random_notes(np.random.default_rng(number), 64, 4.0)
        rows = [
            (*times, pitch) for times, pitch in zip(plain.intervals, plain.pitches, strict=True)
        ]
        notes = _notes(*rows, *trill, *repeats)
        runs = _runs(notes, GRID.num_frames(6 * RATE))
        scores = ceiling.roll_scores(notes, GRID, 6 * RATE, "piano")
        back, held = _held(runs), _held(_frames(notes))
        assert scores["frame_f1"] == pytest.approx(2 * len(back & held) / (len(back) + len(held)))
        assert scores["onset_f1"] == pytest.approx(_f1(runs, notes, None))
        assert scores["onset_offset_f1"] == pytest.approx(_f1(runs, notes, 0.2))
        assert scores["onset_f1"] < 0.95  # the trill is too fast for frames
    assert ceiling.roll_scores(notes, GRID, 6 * RATE, "drums")["onset_offset_f1"] is None


def test_energy_where_notes_are():
    num_frames, held = 100, [10, 11, 12, 40]
    source = np.full(num_frames * GRID.hop + 77, 0.05)
    for frame in held:
        source[frame * GRID.hop : (frame + 1) * GRID.hop] = 0.5
    second = 1 / GRID.frame_rate_hz
    notes = _notes((10 * second, 13 * second, 60), (40 * second, 41 * second, 30))
    assert ceiling.energy_ratio_db(source, notes, GRID) == pytest.approx(20.0)
    moved = Notes(notes.intervals + second, notes.pitches, notes.velocities)  # two frames sound
    inside, outside = (2 * 0.5**2 + 2 * 0.05**2) / 4, (2 * 0.5**2 + 94 * 0.05**2) / 96
    expected = 10 * np.log10(inside / outside)
    assert ceiling.energy_ratio_db(source, moved, GRID) == pytest.approx(expected, abs=1e-6)
    for all_or_none in (_notes((0.0, 99.0, 60)), Notes.empty()):
        assert np.isnan(ceiling.energy_ratio_db(source, all_or_none, GRID))


@pytest.mark.parametrize(
    ("pitches", "share"), [((69,), 0.8), ((76,), 0.2), ((57, 88), 1.0), ((60,), 0.0)]
)
def test_energy_at_the_pitch_classes_of_the_notes(pitches, share):
    """A4 and E5, half as loud: by their amplitudes."""
    time = np.arange(4 * RATE) / RATE
    source = np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 659.255 * time)
    notes = _notes(*((0.0, 4.0, pitch) for pitch in pitches))
    assert ceiling.chroma_share(source, notes, GRID) == pytest.approx(share, abs=0.001)


def test_energy_at_pitch_classes_goes_by_time_and_silence_tells_nothing():
    time = np.arange(8 * RATE) / RATE
    source = np.sin(2 * np.pi * 440 * time)
    half = _notes((0.0, 4.0, 69))
    assert ceiling.chroma_share(source, half, GRID) == pytest.approx(0.5, abs=0.05)
    assert np.isnan(ceiling.chroma_share(np.zeros(RATE), half, GRID))


def test_the_command_on_tones(tmp_path, capsys):
    out, root = tmp_path / "figures.json", prepare_data(tmp_path / "data")
    argv = [f"--data={root}", "--count=2", "--seconds=2", f"--out={out}"]
    assert ceiling.main(argv) == 0
    figures = json.loads(out.read_text())
    assert list(figures) == ["piano", "drums"]
    assert figures["piano"]["256"]["onset_f1"] == pytest.approx(1.0)
    assert "onset_offset_f1" not in figures["drums"]["512"]
    assert figures["piano"]["alignment"]["energy_ratio_db"] > 20
    assert "| piano | 2 | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--data is missing"),
        (["--split=nothing"], "--split=nothing: no instrument of "),
    ],
)
def test_wrong_flags(argv, message, tmp_path, capsys):
    if argv:
        argv = [*argv, f"--data={prepare_data(tmp_path / 'data')}"]
    assert ceiling.main(argv) == 1
    assert message in capsys.readouterr().err
