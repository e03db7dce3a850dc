"""The plan: a function of (config, k), active windows, exact notes."""

import dataclasses

import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from data_pipeline import prepare
from data_pipeline.planning.planner import Planner
from data_pipeline.planning.rolls import draw_roll
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import ALIGNED_SAMPLES
from data_pipeline.reading.excerpts import read_excerpts
from data_pipeline.reading.numpy_reader import numpy_batches
from tests.tiny_slakh import GRID, make_tree, naive_notes, plan_config, tiny_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return tiny_catalogue(tmp_path_factory.mktemp("plan"))


def _check_equal(plan, expected):
    for name in ("stems", "corpora", "starts", "offsets", "gains", "notes", "labelled"):
        np.testing.assert_array_equal(getattr(plan, name), getattr(expected, name))


def test_a_batch_depends_on_nothing_but_the_config_and_k(catalogue):
    planner, twin = Planner(catalogue, plan_config()), Planner(catalogue, plan_config())
    for k in (7, 0, 3, 7):
        _check_equal(planner.batch(k), twin.batch(k))
    halves = [planner.batch(3, rows=rows) for rows in (slice(0, 4), slice(4, 8))]
    whole = planner.batch(3)
    for name in ("notes", "starts"):
        joined = np.concatenate([getattr(half, name) for half in halves])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    assert [*halves[0].ids, *halves[1].ids] == whole.ids


@pytest.mark.parametrize("settings", [{}, {"fixed": True}, {"augment_semitones": 2}])
def test_several_steps_are_planned_as_one_by_one(catalogue, settings):
    planner, rows = Planner(catalogue, plan_config(**settings)), slice(2, 5)
    several = planner.batches([4, 0, 9], rows=rows)
    for position, k in enumerate((4, 0, 9)):
        expected = planner.batch(k, rows=rows)
        for name in ("stems", "starts", "offsets", "gains", "notes"):
            rows_of_step = getattr(several, name)[3 * position : 3 * position + 3]
            np.testing.assert_array_equal(rows_of_step, getattr(expected, name))


def test_step_seed_and_split_change_it(catalogue):
    base = Planner(catalogue, plan_config())
    others = [
        base.batch(1),
        Planner(catalogue, plan_config(seed=1)).batch(0),
        Planner(catalogue, plan_config(split="validation")).batch(0),
    ]
    for other in others:
        assert not np.array_equal(other.offsets, base.batch(0).offsets)
        # Gains do not depend on the songs of a split.
        assert not np.array_equal(other.gains, base.batch(0).gains)
    with pytest.raises(ValueError, match="k must not be negative"):
        base.batch(-1)


def test_fixed_excerpts_do_not_depend_on_the_batch_size(catalogue):
    few = Planner(catalogue, plan_config(fixed=True, batch_size=2, split="validation"))
    many = Planner(catalogue, plan_config(fixed=True, batch_size=6, split="validation"))
    expected = many.batch(1)
    for i in range(3):
        planned = few.batch(3 + i)
        np.testing.assert_array_equal(planned.starts, expected.starts[2 * i : 2 * i + 2])
        np.testing.assert_array_equal(planned.gains, expected.gains[2 * i : 2 * i + 2])


@pytest.mark.parametrize("probability", [0, 0.5, 1])
def test_sources_are_of_their_class_split_and_moment(catalogue, probability):
    planner = Planner(catalogue, plan_config(coherent_probability=probability, batch_size=64))
    t, planned = catalogue.tables, planner.batch(0)
    names = np.array(planner.config.instruments)
    assert (t.stem_instruments[planned.stems] == names).all()
    tracks = t.stem_tracks[planned.stems]
    assert (t.track_splits[tracks] == "train").all()
    assert (planned.offsets >= 0).all()
    assert (planned.offsets + 24000 <= t.track_num_samples[tracks]).all()
    np.testing.assert_array_equal(planned.starts, t.stem_pcm_start[planned.stems] + planned.offsets)
    together = (tracks == tracks[:, :1]).all(1) & (planned.offsets == planned.offsets[:, :1]).all(1)
    assert abs(together.mean() - probability) < 0.2
    assert len(set(planned.ids)) == 64


def test_all_tracks_stems_and_positions_are_met(catalogue):
    planner = Planner(catalogue, plan_config(batch_size=500, active_rms_db=-60))
    planned, t = planner.batch(0), catalogue.tables
    train = np.flatnonzero(t.track_splits[t.stem_tracks] == "train")
    usable = [s for s in train if t.stem_instruments[s] in planner.config.instruments]
    assert set(planned.stems.ravel().tolist()) == set(usable)
    assert set((planned.offsets % 256).ravel().tolist()) == set(range(0, 256, ALIGNED_SAMPLES))
    assert not (planned.starts % ALIGNED_SAMPLES).any()
    assert planned.offsets.min() < 1600
    assert planned.offsets.max() > 6 * 16000 - 24000 - 1600


def test_every_source_is_active(catalogue):
    config = plan_config(batch_size=64, active_rms_db=-22)
    for batch in numpy_batches(Planner(catalogue, config), num_steps=2):
        power = np.mean((batch["sources"] / 32768.0) ** 2, axis=-1)
        # A window starts anywhere in a piece of a tenth of a second, the rule takes it as a whole.
        assert (10 * np.log10(power) > -22 - 1.5).all()
        assert (10 * np.log10(power) < -12).all()


def test_gains(catalogue):
    gains = Planner(catalogue, plan_config(batch_size=500, gain_db=6)).batch(0).gains
    decibels = 20 * np.log10(gains)
    assert decibels.min() < -5.8
    assert 5.8 < decibels.max() <= 6.001
    assert (Planner(catalogue, plan_config(gain_db=0)).batch(0).gains == 1).all()


def test_notes_are_those_of_the_window(catalogue):
    planner = Planner(catalogue, plan_config(batch_size=32))
    num_frames = GRID.num_frames(24000)
    for k in range(3):
        planned = planner.batch(k)
        assert planned.notes.shape == (32, 3, planner.num_notes, 3)
        for b, s in np.ndindex(planned.stems.shape):
            notes = catalogue.notes(int(planned.stems[b, s]))
            rows = planned.notes[b, s]
            rows = rows[rows[:, 1] > 0].tolist()
            expected = naive_notes(notes, planned.offsets[b, s] / 16000, num_frames)
            assert sorted(map(tuple, rows)) == expected


def test_audio_and_notes_are_aligned(catalogue):
    """Sounding frames are loud, silent ones silent: a shift of two frames would show."""
    planner = Planner(catalogue, plan_config(batch_size=16, gain_db=0))
    (batch,) = numpy_batches(planner, num_steps=1)
    num_frames = GRID.num_frames(24000)
    for b, s in np.ndindex(16, 3):
        active = draw_roll(batch["notes"][b, s], num_frames).any(1)[1:-1]
        frames = batch["sources"][b, s, 128 : 128 + (num_frames - 2) * 256].reshape(-1, 256)
        loud = np.abs(frames.astype(np.int32)).max(1) > 500
        assert np.mean(active == loud) > 0.93


def test_excerpts_for_evaluation(catalogue):
    planner = Planner(catalogue, plan_config(fixed=True, batch_size=2, split="validation"))
    (batch,) = numpy_batches(planner, first_step=1, num_steps=1)
    excerpts = list(read_excerpts(planner, 3))
    assert len(excerpts) == 3
    last = excerpts[2]
    sources = batch["sources"][0] / np.float32(32768) * batch["gains"][0][:, None]
    np.testing.assert_array_equal(last.sources, sources)
    assert last.id == planner.batch(1).ids[0]
    for notes, rows in zip(last.notes, batch["notes"][0], strict=True):
        assert notes.offsets.max() <= 1.5
        drawn = rows[rows[:, 1] > 0]
        assert abs(len(notes) - len(drawn)) <= 1
        np.testing.assert_allclose(notes.onsets.max() * 62.5, drawn[:, 0].max(), atol=1)


def test_slots_whose_class_has_no_notes(catalogue):
    """As vocals: a class that is not transcribed, of stems without labels."""
    t = catalogue.tables
    guitar = np.flatnonzero(t.stem_instruments == "guitar")
    without = np.isin(np.repeat(np.arange(len(t.stem_ids)), np.diff(t.note_start)), guitar)
    counts = np.where(np.isin(np.arange(len(t.stem_ids)), guitar), 0, np.diff(t.note_start))
    tables = dataclasses.replace(
        t,
        stem_instruments=np.where(t.stem_instruments == "guitar", "vocals", t.stem_instruments),
        stem_is_labelled=t.stem_instruments != "guitar",
        note_start=np.concatenate([[0], np.cumsum(counts)]),
        onsets=t.onsets[~without],
        offsets=t.offsets[~without],
        pitches=t.pitches[~without],
        velocities=t.velocities[~without],
    )
    catalogue = dataclasses.replace(catalogue, tables=tables)
    for settings in ({}, {"augment_semitones": 2}):
        planner = Planner(catalogue, plan_config(instruments=("piano", "vocals"), **settings))
        planned = planner.batch(0)
        assert not planned.notes[:, 1].any()
        assert planned.notes[:, 0].any()
        assert planned.labelled.tolist() == [[True, False]] * 8
        (excerpt,) = read_excerpts(planner, 1)
        assert (excerpt.labelled, len(excerpt.notes[1])) == ((True, False), 0)
    alone = Planner(catalogue, plan_config(instruments=("vocals",)))
    assert alone.num_notes == 32
    assert not alone.batch(0).notes.any()


def test_bad_configs(catalogue):
    for bad, message in (
        ({"instruments": ()}, "instruments must be distinct"),
        ({"instruments": ("piano", "piano")}, "instruments must be distinct"),
        ({"num_samples": 0}, "must be positive"),
        ({"batch_size": 0}, "must be positive"),
        ({"coherent_probability": 1.5}, "coherent_probability"),
        ({"gain_db": -1.0}, "gain_db"),
        ({"gain_db": float("nan")}, "gain_db"),
        ({"active_rms_db": float("nan")}, "active_rms_db"),
        ({"corpora": ("maps",)}, "one corpus per instrument"),
    ):
        with pytest.raises(ValueError, match=message):
            plan_config(**bad)
    with pytest.raises(ValueError, match=r"data\.corpora: \['maps'\] not in"):
        Planner(catalogue, plan_config(corpora=("maps", "", "")))
    with pytest.raises(ValueError, match="was prepared at 16000"):
        Planner(catalogue, plan_config(grid=FrameGrid(sample_rate_hz=8000)))


def test_one_corpus_per_instrument(tmp_path, samples):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano", "guitar"), seconds=6)
    for corpus, root in (("minislakh", tmp_path / "raw"), ("guitarset", samples / "guitarset")):
        prepare.prepare(corpus, root, out=tmp_path / "out", progress=False)
    catalogue = Catalogue.load(tmp_path / "out")
    names = ("piano", "guitar")
    config = plan_config(instruments=names, corpora=("", "guitarset"), coherent_probability=0)
    planned = Planner(catalogue, config).batch(0)
    assert [catalogue.corpora[i] for i in planned.corpora[0]] == ["minislakh", "guitarset"]
    with pytest.raises(ValueError, match=r"no track has piano, guitar together.*coherent_prob"):
        Planner(catalogue, dataclasses.replace(config, coherent_probability=0.5))


@pytest.mark.parametrize(("silence", "rest"), [(0.0, 0.3), (0.2, 0.3), (0.0, 0.0)])
def test_the_rest_sounds_as_often_as_it_should(catalogue, silence, rest):
    names = ("piano", "guitar", "rest")
    config = plan_config(
        instruments=names, batch_size=2000, silence_probability=silence, rest_probability=rest
    )
    sounds = Planner(catalogue, config).batch(3).gains != 0
    assert sounds[:, :2].any(axis=1).all()
    assert sounds[:, 2].mean() == pytest.approx((1 - silence) * rest, abs=0.03)
    # One of the two, drawn for each excerpt, is never silent.
    assert sounds[:, :2].mean() == pytest.approx(1 - silence / 2, abs=0.02)
    with pytest.raises(ValueError, match=r"rest_probability must lie in 0\.\.1"):
        plan_config(rest_probability=-1)


def test_a_silent_source_has_neither_gain_nor_notes_and_nothing_unknown(catalogue):
    plain = Planner(catalogue, plan_config(batch_size=200)).batch(3)
    config = plan_config(batch_size=200, silence_probability=0.4)
    planned = Planner(catalogue, config).batch(3)
    silent = planned.gains == 0
    assert 0.2 < silent.mean() < 0.4 and not silent.all(axis=1).any()
    assert not planned.notes[silent].any() and planned.labelled[silent].all()
    np.testing.assert_array_equal(planned.stems, plain.stems)
    np.testing.assert_array_equal(planned.gains[~silent], plain.gains[~silent])
    np.testing.assert_array_equal(planned.notes[~silent], plain.notes[~silent])
    draws = np.random.default_rng(0).random((500, 4))
    drawn = draws[:, 1:] < 0.4
    drawn[np.arange(500), (draws[:, 0] * 3).astype(int)] = False
    np.testing.assert_array_equal(Planner(catalogue, config)._silent(draws), drawn)
    only_rest = plan_config(batch_size=50, instruments=("rest",), rest_probability=0.1)
    assert (Planner(catalogue, only_rest).batch(0).gains != 0).all()
    always = plan_config(batch_size=200, silence_probability=1.0)
    assert ((Planner(catalogue, always).batch(3).gains != 0).sum(axis=1) == 1).all()
    with pytest.raises(ValueError, match=r"silence_probability must lie in 0\.\.1"):
        plan_config(silence_probability=1.5)
