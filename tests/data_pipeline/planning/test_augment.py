"""Augmentations: audio and notes move together, the rules when not to, and equal readers."""

import dataclasses

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.planning import augment
from data_pipeline.planning.planner import Planner
from data_pipeline.planning.rolls import draw_roll
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.excerpts import read_excerpts
from data_pipeline.reading.numpy_reader import _read_shifted, numpy_batches
from tests.tiny_slakh import GRID, naive_notes, plan_config, tiny_catalogue

RATE = 16000


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return tiny_catalogue(tmp_path_factory.mktemp("augment"))


def _planner(catalogue, **kwargs):
    defaults = {"batch_size": 32, "active_rms_db": -60, "gain_db": 0}
    return Planner(catalogue, plan_config(**(defaults | kwargs)))


def _pitch(samples):
    """MIDI pitch of the strongest partial."""
    padded = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 19))
    return 69 + 12 * np.log2(np.argmax(padded) * RATE / (1 << 19) / 440)


def test_polarity_changes_signs_alone(catalogue):
    plain = _planner(catalogue, gain_db=3).batch(4)
    turned = _planner(catalogue, gain_db=3, augment_polarity=0.5).batch(4)
    np.testing.assert_array_equal(np.abs(turned.gains), plain.gains)
    assert 0.3 < (turned.gains < 0).mean() < 0.7
    for name in ("stems", "starts", "notes"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(plain, name))


def test_curves_change_nothing_else_and_fill_their_range(catalogue):
    plain = _planner(catalogue).batch(4)
    filtered = _planner(catalogue, augment_equaliser_db=6).batch(4)
    curves = filtered.equalisers
    assert curves.shape == (*plain.stems.shape, 9) and curves.dtype == np.float32
    assert np.abs(curves).max() <= 6 and np.std(curves) == pytest.approx(6 / 3**0.5, rel=0.1)
    assert len(np.unique(curves)) > 0.99 * curves.size
    for name in ("stems", "starts", "notes", "gains"):
        np.testing.assert_array_equal(getattr(filtered, name), getattr(plain, name))


def test_off_means_as_without(catalogue):
    assert _planner(catalogue).batch(0).shifts is None
    assert "equalisers" not in _planner(catalogue).batch(0).beside_audio
    config = _planner(catalogue).config
    assert (config.augment_polarity, config.augment_semitones) == (0, 0)


@pytest.mark.parametrize("shift", [-7, -1, 1, 4])
def test_a_tone_moves_by_semitones_and_nothing_is_delayed(shift):
    seconds = np.arange(3 * RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * seconds)
    pcm = np.rint(8000 * tone * (seconds > 1.5)).astype(np.int16)
    moved = _read_shifted(pcm, RATE, shift, num_samples=RATE, sample_rate_hz=RATE)
    assert moved.shape == (RATE,)
    onset = np.argmax(np.abs(moved.astype(np.int32)) > 800)
    assert onset == pytest.approx(0.5 * RATE / 2 ** (shift / 12), abs=12)
    after = moved[onset + 100 :].astype(np.float64)
    assert _pitch(after[:4000]) == pytest.approx(69 + shift, abs=0.02)
    assert np.abs(after).max() == pytest.approx(8000, rel=0.02)


def test_notes_follow_the_audio(catalogue):
    """Sounding frames are loud, silent ones silent, and each lone note has its pitch."""
    planner = _planner(catalogue, augment_semitones=3, active_rms_db=-35)
    planned = planner.batch(0)
    (batch,) = numpy_batches(planner, num_steps=1)
    num_frames = GRID.num_frames(24000)
    assert set(planned.shifts.ravel().tolist()) == set(range(-3, 4))
    agreeing, errors = [], []
    for b, s in np.ndindex(*planned.stems.shape):
        notes = batch["notes"][b, s]
        active = draw_roll(notes, num_frames).any(1)[1:-1]
        pcm = batch["sources"][b, s]
        frames = pcm[128 : 128 + (num_frames - 2) * 256].reshape(-1, 256)
        agreeing.append(np.mean(active == (np.abs(frames.astype(np.int32)).max(1) > 500)))
        for first, end, pitch in notes[notes[:, 1] - notes[:, 0] > 12].tolist():
            alone = (notes[:, 0] < end) & (notes[:, 1] > max(first, 0))
            if alone.sum() == 1:
                inner = pcm[(first + 2) * 256 : (end - 2) * 256].astype(np.float64)
                errors.append(_pitch(inner) - pitch)
    assert np.mean(agreeing) > 0.95
    assert len(errors) > 40
    assert np.abs(errors).max() < 0.3


def test_notes_are_those_of_the_longer_or_shorter_window(catalogue):
    planner = _planner(catalogue, augment_semitones=2, fixed=True)
    planned = planner.batch(1)
    num_frames = GRID.num_frames(24000)
    for b, s in np.ndindex(*planned.stems.shape):
        notes = catalogue.notes(int(planned.stems[b, s]))
        shift = int(planned.shifts[b, s])
        speed = round(RATE * 2 ** (shift / 12)) / RATE
        moved = Notes(
            (notes.intervals - planned.offsets[b, s] / RATE) / speed + 1000.0,
            notes.pitches + shift,
            notes.velocities,
        )
        rows = planned.notes[b, s]
        rows = sorted(map(tuple, rows[rows[:, 1] > 0].tolist()))
        assert rows == naive_notes(moved, 1000.0, num_frames)


def test_excerpts_for_evaluation_are_shifted_alike(catalogue):
    planner = _planner(catalogue, augment_semitones=2, fixed=True)
    planned = planner.batch(0)
    for b, excerpt in enumerate(read_excerpts(planner, 8)):
        for s, notes in enumerate(excerpt.cut_notes):
            rows = planned.notes[b, s]
            rows = np.maximum(rows[rows[:, 1] > 0], 0)
            assert abs(len(rows) - len(notes)) <= 2  # those of half a frame at either end
            onsets = np.rint(notes.onsets * GRID.frame_rate_hz).astype(int)
            pairs = set(zip(onsets.tolist(), notes.pitches.tolist(), strict=True))
            assert len(set(map(tuple, rows[:, ::2].tolist())) - pairs) <= 2


def test_coherent_sources_share_one_shift(catalogue):
    planned = _planner(catalogue, augment_semitones=4, coherent_probability=1).batch(0)
    assert (planned.shifts == planned.shifts[:, :1]).all()
    assert len(set(planned.shifts[:, 0].tolist())) > 3
    assert (planned.offsets == planned.offsets[:, :1]).all()


def test_drums_and_what_is_played_with_them_stay(catalogue):
    instruments = ("piano", "drums")
    planner = _planner(catalogue, augment_semitones=4, instruments=instruments)
    planned, plain = planner.batch(0), _planner(catalogue, instruments=instruments).batch(0)
    assert not planned.shifts[:, 1].any()
    np.testing.assert_array_equal(planned.starts[:, 1], plain.starts[:, 1])
    coherent = plain.offsets[:, 0] == plain.offsets[:, 1]
    assert 5 < coherent.sum() < 27
    assert not planned.shifts[coherent].any()
    assert planned.shifts[~coherent, 0].any()


def test_windows_stay_inside_their_tracks(catalogue):
    # The excerpt fills most of a 6 s track: shifts upwards often do not fit.
    planner = _planner(catalogue, augment_semitones=6, num_samples=80000, batch_size=64)
    planned, t = planner.batch(0), catalogue.tables
    tracks = t.stem_tracks[planned.stems]
    length = augment.read_length(planned.shifts, 80000, RATE)
    moved = planned.shifts != 0
    margin = np.where(moved, 256, 0)
    assert (planned.offsets >= margin).all()
    assert (planned.offsets + length + margin <= t.track_num_samples[tracks]).all()
    assert planned.shifts.max() < 6
    assert planned.shifts.min() == -6
    np.testing.assert_array_equal(planned.starts, t.stem_pcm_start[planned.stems] + planned.offsets)


def test_no_note_leaves_the_keys(catalogue):
    lowered = dataclasses.replace(
        catalogue.tables, pitches=(catalogue.tables.pitches % 12 + 21).astype(np.int16)
    )
    edge = Catalogue(catalogue.root, catalogue.corpora, catalogue.pcm_paths, lowered)
    planned = _planner(edge, augment_semitones=12, coherent_probability=0).batch(0)
    used = planned.notes[..., 1] > 0
    assert planned.notes[..., 2][used].min() >= 21
    assert planned.shifts.max() == 12
    lowest = np.where(used, planned.notes[..., 2], 99).min(-1)
    assert (lowest[planned.shifts < 0] >= 21).all()


def test_shifted_sources_are_active(catalogue):
    planner = _planner(catalogue, augment_semitones=12, active_rms_db=-22, batch_size=64)
    planned = planner.batch(0)
    (batch,) = numpy_batches(planner, num_steps=1)
    power = np.mean((batch["sources"] / 32768.0) ** 2, axis=-1)
    assert (10 * np.log10(power) > -22 - 1.5).all()
    assert (planned.shifts != 0).mean() > 0.3


def test_both_readers_agree_from_any_step(catalogue):
    tf_reader = pytest.importorskip("data_pipeline.reading.tf_reader")
    planner = _planner(catalogue, augment_semitones=2, augment_polarity=0.5, batch_size=4)
    whole = list(numpy_batches(planner, num_steps=6))
    batches = list(tf_reader.batches(planner, first_step=2, num_steps=4, num_threads=3))
    for batch, expected in zip(batches, whole[2:], strict=True):
        for name in expected:
            assert batch[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(batch[name], expected[name])
    halves = [
        list(numpy_batches(planner, num_steps=6, process_index=i, process_count=2))
        for i in range(2)
    ]
    for k in range(6):
        joined = np.concatenate([half[k]["sources"] for half in halves])
        np.testing.assert_array_equal(joined, whole[k]["sources"])


def test_bad_values():
    with pytest.raises(ValueError, match=r"augment_semitones must lie in 0\.\.12, got 13"):
        plan_config(augment_semitones=13)
    with pytest.raises(ValueError, match=r"augment_equaliser_db must be finite.*got -1"):
        plan_config(augment_equaliser_db=-1)
    with pytest.raises(ValueError, match=r"augment_polarity must lie in 0\.\.1, got 1\.5"):
        plan_config(augment_polarity=1.5)
