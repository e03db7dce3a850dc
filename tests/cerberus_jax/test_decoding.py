import dataclasses
import json

import jaxtyping
import numpy as np
import pretty_midi
import pytest

from cerberus_jax.decoding import (
    MIDDLE_VELOCITY,
    DecodingConfig,
    decode,
    frame_envelope,
    with_velocities,
)
from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.model import Cerberus
from cerberus_jax.notes import LOWEST_PITCH, NUM_PITCHES, Notes
from cerberus_jax.segmentation import segment
from data_pipeline.io.midi import Part, write_midi

GRID = FrameGrid()
PITCH = 60
KEY = PITCH - LOWEST_PITCH


def drawn(frames, num_frames):
    """The training roll of notes (first frame, end frame, pitch), straight from its definition."""
    onset = np.zeros((num_frames + 1, NUM_PITCHES), bool)
    active = np.zeros((num_frames + 1, NUM_PITCHES), bool)
    for first, end, pitch in frames:
        onset[first, pitch - LOWEST_PITCH] = True
        active[first:end, pitch - LOWEST_PITCH] = True
    return (onset[:-1] | (active[:-1] & ~onset[1:])).astype(np.float32)


def roll_of(values):
    roll = np.zeros((len(values), NUM_PITCHES), np.float32)
    roll[:, KEY] = values
    return roll


def frames_of(notes, grid=GRID):
    return [
        (*np.rint(interval * grid.frame_rate_hz).astype(int).tolist(), int(pitch))
        for interval, pitch in zip(notes.intervals, notes.pitches, strict=True)
    ]


def random_notes(rng, num_frames, num_notes):
    """Notes that do not overlap on a key, many of them repeats with no gap between."""
    frames = []
    for pitch in rng.choice(np.arange(21, 109), 12, replace=False):
        first = int(rng.integers(0, 4))
        while first < num_frames - 1 and len(frames) < num_notes:
            end = min(first + int(rng.integers(1, 9)), num_frames)
            gap = int(rng.choice([0, 1, 2, 3, 7]))
            if end - first == 1 and gap == 0:
                gap = 1  # one frame and a repeat: no roll can show where one ends
            frames.append((first, end, int(pitch)))
            first = end + gap
    return frames


@pytest.mark.parametrize("seed", range(30))
def test_a_drawn_roll_gives_its_notes_back(seed):
    rng = np.random.default_rng(seed)
    num_frames = int(rng.integers(1, 120))
    frames = random_notes(rng, num_frames, 300)
    for config in (DecodingConfig(), DecodingConfig(threshold=0.05), DecodingConfig(threshold=1.0)):
        found = frames_of(decode(drawn(frames, num_frames), GRID, config=config))
        expected = sorted(frames, key=lambda note: (note[0], note[2]))
        assert [(a, p) for a, _, p in found] == [(a, p) for a, _, p in expected]
        for (_, end, _), (_, expected_end, _) in zip(found, expected, strict=True):
            assert 0 <= end - expected_end <= 1


def test_notes_survive_the_way_through_seconds():
    rng = np.random.default_rng(3)
    grid = FrameGrid(hop=512)
    onsets = np.cumsum(rng.uniform(0.15, 0.4, 50))
    notes = Notes(
        np.stack([onsets, onsets + rng.uniform(0.006, 0.15, 50)], 1),
        rng.integers(21, 109, 50),
        np.full(50, 90),
    )
    first = np.rint(notes.onsets * grid.frame_rate_hz).astype(int)
    end = np.maximum(first + 1, np.rint(notes.offsets * grid.frame_rate_hz).astype(int))
    roll = drawn(np.stack([first, end, notes.pitches], 1), grid.num_frames(30 * 16000))
    found = decode(roll, grid)
    assert found.pitches.tolist() == notes.pitches.tolist()
    np.testing.assert_allclose(found.onsets, notes.onsets, atol=0.5 / grid.frame_rate_hz + 1e-9)
    np.testing.assert_allclose(found.offsets, notes.offsets, atol=1 / grid.frame_rate_hz + 1e-9)


def test_hysteresis_keeps_a_fading_note_whole():
    values = [0.1, 0.4, 0.9, 0.7, 0.45, 0.4, 0.36, 0.3, 0.1]
    assert frames_of(decode(roll_of(values), GRID)) == [(2, 7, PITCH)]
    strict = DecodingConfig(hysteresis=1.0)
    assert frames_of(decode(roll_of(values), GRID, config=strict)) == [(2, 4, PITCH)]
    assert len(decode(roll_of([0.1, 0.4, 0.45, 0.4]), GRID)) == 0


def test_repeats_split_at_dips():
    values = [0.0, 0.9, 0.9, 0.6, 0.9, 0.8, 0.8, 0.75, 0.85, 0.8, 0.0]
    assert frames_of(decode(roll_of(values), GRID)) == [(1, 4, PITCH), (4, 10, PITCH)]
    held = DecodingConfig(dip=0.5)
    assert frames_of(decode(roll_of(values), GRID, config=held)) == [(1, 10, PITCH)]
    fine = DecodingConfig(dip=0.04)
    assert len(decode(roll_of(values), GRID, config=fine)) == 3


def test_shallow_gaps_are_bridged_and_deep_ones_not():
    shallow = [0.6, 0.5, 0.32, 0.33, 0.5, 0.6]
    assert frames_of(decode(roll_of(shallow), GRID)) == [(0, 6, PITCH)]
    unbridged = DecodingConfig(max_gap_frames=1)
    assert len(decode(roll_of(shallow), GRID, config=unbridged)) == 2
    assert len(decode(roll_of([0.9, 0.9, 0.1, 0.1, 0.9, 0.9]), GRID)) == 2


def test_minimum_length_and_onset_shift():
    values = [0.9, 0.0, 0.0, 0.9, 0.9, 0.9]
    config = DecodingConfig(min_frames=2)
    assert frames_of(decode(roll_of(values), GRID, config=config)) == [(3, 6, PITCH)]
    early = decode(roll_of(values), GRID, config=DecodingConfig(onset_shift_seconds=-0.032))
    np.testing.assert_allclose(early.onsets, [0, 0.016])
    late = decode(roll_of(values), GRID, config=DecodingConfig(onset_shift_seconds=1.0))
    np.testing.assert_allclose(late.onsets, late.offsets)


def test_keys_do_not_touch_each_other():
    roll = np.ones((5, NUM_PITCHES), np.float32)
    assert frames_of(decode(roll, GRID)) == [(0, 5, pitch) for pitch in range(21, 109)]
    low = DecodingConfig(threshold=0.05, max_gap_frames=3)
    assert len(decode(0.1 * roll, GRID, config=low)) == NUM_PITCHES


def test_velocity_is_the_mean_probability():
    notes = decode(roll_of([0.0, 0.5, 0.7, 0.6, 0.0]), GRID)
    assert notes.velocities.tolist() == [round(127 * 0.6)]
    assert decode(roll_of([1.0]), GRID).velocities.tolist() == [127]


def test_louder_notes_have_higher_velocities():
    rate, amplitudes = 16000, np.array([0.1, 0.4, 0.2])
    time = np.arange(3 * rate) / rate
    source = (np.sin(2 * np.pi * 440 * time) * amplitudes[time.astype(int)])[None]
    levels = frame_envelope(source, rate, GRID)
    np.testing.assert_allclose(levels[[30, 93, 155]], amplitudes / np.sqrt(2), rtol=0.02)
    intervals = np.array([[0.2, 0.8], [1.2, 1.8], [2.2, 2.8]])
    notes = Notes(intervals, np.full(3, 60), np.full(3, 100))
    found = with_velocities(notes, levels, GRID)
    np.testing.assert_array_equal(found.intervals, notes.intervals)
    expected = MIDDLE_VELOCITY * np.sqrt(amplitudes / 0.2)
    np.testing.assert_allclose(found.velocities, expected, atol=1)
    doubtful = Notes(intervals, np.full(3, 60), np.array([25, 100, 100]))
    np.testing.assert_allclose(with_velocities(doubtful, levels, GRID).velocities[0], 28, atol=1)


def test_levels_know_the_rate_of_their_source():
    source = np.repeat([[1.0, 0.0, 2.0]], 44100, axis=1)
    levels = frame_envelope(source, 44100, GRID)
    assert len(levels) == GRID.num_frames(3 * 16000)
    np.testing.assert_allclose(levels[[10, 100, 180]], [1, 0, 2])


def test_velocities_without_a_level_stay():
    notes = decode(roll_of([0.0, 0.5, 0.5]), GRID)
    assert with_velocities(notes, np.zeros(3), GRID) == notes
    assert with_velocities(notes, np.zeros(0), GRID) == notes
    assert len(with_velocities(Notes.empty(), np.ones(3), GRID)) == 0


def test_segments_of_rows_are_those_of_each_row():
    rows = np.random.default_rng(5).random((7, 40)).astype(np.float32)
    config = DecodingConfig(dip=0.4, hysteresis=0.6)
    row, first, end, confidence = segment(rows, config)
    for k, values in enumerate(rows):
        alone = segment(values[None], config)
        for together, one in zip((first, end, confidence), alone[1:], strict=True):
            np.testing.assert_allclose(together[row == k], one, atol=1e-9)


def test_empty_rolls():
    for num_frames in (0, 1, 50):
        assert len(decode(np.zeros((num_frames, NUM_PITCHES), np.float32), GRID)) == 0


def test_every_instrument_has_its_own_thresholds():
    model = Cerberus(GRID, ("piano", "bass"))
    decoding = {"piano": DecodingConfig(), "bass": DecodingConfig(threshold=0.3)}
    rolls = np.stack([roll_of([0.0, 0.4, 0.4, 0.0])] * 2)
    notes = Predictor(model, {}, decoding).decode(rolls)
    assert {name: len(found) for name, found in notes.items()} == {"piano": 0, "bass": 1}


def test_configuration_through_json():
    config = DecodingConfig(threshold=0.25, min_frames=3)
    text = json.dumps(dataclasses.asdict(config))
    assert DecodingConfig.from_json(json.loads(text)) == config
    with pytest.raises(ValueError, match=r"unknown fields \['treshold'\]"):
        DecodingConfig.from_json({"treshold": 0.5})


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": 0.0},
        {"threshold": np.nan},
        {"dip": 2.0},
        {"min_frames": 0},
        {"hysteresis": 0.0},
    ],
)
def test_values_out_of_range(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} must lie between"):
        DecodingConfig(**values)


def test_unusable_rolls(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"shape \[frames, 88\], got \[5, 128\]"):
        decode(np.zeros((5, 128), np.float32), GRID)
    with pytest.raises(ValueError, match="NaN"):
        decode(roll_of([0.5, np.nan]), GRID)


def test_repeats_never_overlap_whatever_the_shift(tmp_path):
    """pretty_midi ends a note where its key is struck again, or earlier: nothing may be lost."""
    roll = np.zeros((100, 88), np.float32)
    roll[10:60, 30] = 0.9
    roll[[24, 40], 30] = 0.0  # struck again at 25 and 41
    for shift in (-0.03, 0.0, 0.03):
        notes = decode(roll, GRID, config=DecodingConfig(onset_shift_seconds=shift))
        assert len(notes) == 3
        assert (notes.offsets[:-1] <= notes.onsets[1:] + 1e-12).all()
        np.testing.assert_allclose(
            notes.onsets, np.array([10, 25, 41]) / GRID.frame_rate_hz + shift
        )
        write_midi(tmp_path / "x.mid", [Part("piano", 0, False, notes)])
        (part,) = pretty_midi.PrettyMIDI(str(tmp_path / "x.mid")).instruments
        played = np.array([(note.start, note.end) for note in part.notes])
        np.testing.assert_allclose(played, notes.intervals, atol=1e-3)
