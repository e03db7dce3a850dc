"""From a config to batches: which excerpts they hold, and who reads them."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from data_pipeline import minislakh, prepare, reading
from data_pipeline.reading.excerpts import read_excerpts
from data_pipeline.reading.numpy_reader import numpy_batches
from experiments.config.loading import load_config
from experiments.training import data

SMALL = {"batch_size": 2, "excerpt_seconds": 1.0, "data.num_validation_excerpts": 3}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny prepared MiniSlakh."""
    folder = tmp_path_factory.mktemp("embedded")
    tree = minislakh.build(
        folder / "tree", num_songs=2, song_seconds=8.0, num_workers=1, progress=False
    )
    prepare.prepare("minislakh", tree, out=folder / "out", num_workers=1, progress=False)
    return folder / "out"


def _config(root, **fields):
    return load_config("sets/set4.py", SMALL | {"data.root": str(root)} | fields)


def test_a_configured_root_is_used_as_it_is(tmp_path):
    assert data.data_root(_config(tmp_path / "x")) == tmp_path / "x"


def test_batches_have_the_shape_of_the_config_and_continue(root):
    config = _config(root)
    whole = list(data.batches(config, "train", num_steps=3))
    assert whole[0]["sources"].shape == (2, 5, 16000)
    resumed = list(data.batches(config, "train", first_step=2, num_steps=1))
    assert len(whole) == 3
    for name, array in whole[2].items():
        np.testing.assert_array_equal(resumed[0][name], array)


def test_the_first_batch_is_read_without_tensorflow(root, monkeypatch):
    asked = []
    reader = SimpleNamespace(batches=lambda plan, **which: asked.append(which) or iter(()))
    monkeypatch.setattr(reading, "tf_reader", reader, raising=False)
    batches = data.batches(_config(root), "train", first_step=7, num_steps=3)
    assert next(batches)["sources"].shape == (2, 5, 16000)
    assert asked == []
    assert list(batches) == []
    (which,) = asked
    assert (which["first_step"], which["num_steps"]) == (8, 2)


@pytest.fixture
def forget_the_reader(monkeypatch):
    for name in ("tf_reader", "cpu_tensorflow"):
        monkeypatch.delitem(sys.modules, f"data_pipeline.reading.{name}", raising=False)
        monkeypatch.delattr(reading, name, raising=False)


@pytest.mark.usefixtures("forget_the_reader")
def test_without_tensorflow_numpy_reads_and_says_so(root, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # what importing it meets, not installed
    config = _config(root)
    by_loop = list(data.batches(config, "train", num_steps=3))
    assert "TensorFlow is not installed: batches are read with numpy" in caplog.text
    by_numpy = list(numpy_batches(data.planner(config, "train", training=True), num_steps=3))
    for batch, expected in zip(by_loop, by_numpy, strict=True):
        np.testing.assert_array_equal(batch["sources"], expected["sources"])
        np.testing.assert_array_equal(batch["notes"], expected["notes"])


@pytest.mark.usefixtures("forget_the_reader")
@pytest.mark.parametrize("missing", ["wrapt", None])
def test_a_broken_tensorflow_is_no_missing_one(root, monkeypatch, missing):
    if missing:  # one of the packages that it needs
        error = ModuleNotFoundError(f"No module named {missing!r}", name=missing)
    else:
        error = ImportError("libtensorflow_framework.so.2: cannot open shared object file")

    class Broken:
        @staticmethod
        def find_spec(name, *_):
            if name == "data_pipeline.reading.tf_reader":
                raise error

    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    with pytest.raises(type(error), match=missing or "cannot open"):
        list(data.batches(_config(root), "train", num_steps=2))


def test_held_out_excerpts_are_unscaled_and_coherent(root):
    config = _config(root)
    assert data.num_validation_batches(config) == 2
    batches = data.validation_batches(config)
    assert len(batches) == 2
    np.testing.assert_array_equal(batches[0]["gains"], 1.0)
    (training,) = data.batches(config, "train", num_steps=1)
    assert (training["gains"] != 1.0).all()
    tracks_of = data.planner(config, "test").catalogue.tables.stem_tracks
    for split in ("validation", "test"):
        plan = data.planner(_config(root, batch_size=16), split).batch(0)
        for values in (tracks_of[plan.stems], plan.offsets):
            assert values.shape == (16, 5) and (values == values[:, :1]).all()
        assert len(np.unique(plan.offsets)) > 1 and (plan.gains == 1).all()
    incoherent = _config(root, **{"data.coherent_probability": 0.0})
    assert data.held_out_coherence(config) == 1.0
    assert data.held_out_coherence(incoherent) == 0.0


def test_scored_excerpts_of_training_songs_are_drawn_like_those_of_any_split(root):
    """Fixed, from one song, unscaled and not augmented, whatever training does."""
    fields = {"evaluation.excerpt_seconds": 2.0, "data.num_test_excerpts": 5}
    augmented = {
        "data.augment_polarity": 0.5,
        "data.augment_semitones": 2,
        "data.augment_equaliser_db": 6.0,
    }
    config = _config(root, **fields, **augmented)
    drawn, count = data.test_excerpts(config, "train")
    other_batches = _config(root, batch_size=1, **fields, **{"data.gain_db": 9.0})
    again, _ = data.test_excerpts(other_batches, "train")
    excerpts, same = list(read_excerpts(drawn, count)), list(read_excerpts(again, count))
    assert len(excerpts) == 5
    for excerpt, repeated in zip(excerpts, same, strict=True):
        assert "+" not in excerpt.id and excerpt.id == repeated.id
        np.testing.assert_array_equal(excerpt.sources, repeated.sources)
    assert (drawn.batch(0).gains == 1).all()
    differing = [
        name
        for name, value in vars(drawn.config).items()
        if value != getattr(data.test_excerpts(config, "test")[0].config, name)
    ]
    assert differing == ["split"]


def test_excerpts_of_another_length(root):
    plan = data.planner(_config(root), "test", excerpt_seconds=2.0)
    assert plan.config.num_samples == 32000


def test_a_root_that_does_not_exist_or_is_raw_is_an_error(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)no such folder.*data_pipeline.prepare"):
        data.planner(_config(tmp_path / "none"), "train")
    with pytest.raises(ValueError, match=r"(?s)not a prepared directory.*data_pipeline.prepare"):
        data.planner(_config(root.parent / "tree"), "train")


def test_only_training_is_augmented(root):
    augmented = {"augment_polarity": 0.5, "augment_semitones": 2}
    augmented |= {"silence_probability": 0.5, "rest_probability": 0.25}
    config = _config(root, **{f"data.{name}": value for name, value in augmented.items()})
    (batch,) = data.batches(config, "train", num_steps=1)
    assert batch["sources"].shape == (2, 5, 16000)
    training = data.planner(config, "train", training=True).config
    assert {name: getattr(training, name) for name in augmented} == augmented
    held_out = data.validation_batches(config)[0]
    plain = data.validation_batches(_config(root))[0]
    for name in plain:
        np.testing.assert_array_equal(held_out[name], plain[name])
    plans = [data.planner(own, "validation").config for own in (config, _config(root))]
    assert plans[0] == plans[1]


def test_the_names_of_excerpts_are_those_of_the_batch_of_that_step(root):
    """The sound of every source lies where its name says, to the millisecond."""
    config, k = _config(root), 3
    batch = next(data.batches(config, "train", first_step=k))
    plan = data.planner(config, "train", training=True)
    (pcm,), tables = plan.catalogue.pcm(), plan.catalogue.tables
    names = data.excerpt_names(config, k)
    assert len(names) == len(batch["sources"]) == 2
    for name, sources in zip(names, batch["sources"], strict=True):
        found = re.findall(r"(\w+)@([\d.]+)\[(.*?)\]", name)
        places = [(song, start, stem) for song, start, stems in found for stem in stems.split(",")]
        for (song, start, stem), source in zip(places, sources, strict=True):
            of_song = tables.track_ids[tables.stem_tracks] == song
            (row,) = np.flatnonzero(of_song & (tables.stem_ids == stem))
            first = tables.stem_pcm_start[row] + round(float(start) * 16000)
            near = [pcm[at : at + 16000] for at in range(first - 8, first + 9)]
            assert any(np.array_equal(sound, source) for sound in near)
