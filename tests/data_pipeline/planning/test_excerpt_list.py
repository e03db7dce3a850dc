"""Lists of excerpts: the very same excerpts come back; lists that do not fit are refused."""

import json
import subprocess
import sys

import numpy as np
import pytest

from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.listed import ListedPlanner
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.excerpts import read_excerpts
from data_pipeline.reading.numpy_reader import numpy_batches
from experiments.training import data
from tests import ROOT
from tests.tiny_run import prepare_data, tiny_config
from tests.tiny_slakh import FIVE, GRID, make_tree, plan_config, tiny_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return tiny_catalogue(tmp_path_factory.mktemp("excerpts"))


@pytest.fixture(scope="module")
def planner(catalogue):
    config = plan_config(
        fixed=True, split="validation", batch_size=3, gain_db=3.0, coherent_probability=0.5
    )
    return Planner(catalogue, config)


@pytest.fixture
def file(planner, tmp_path):
    path = tmp_path / "list.json"
    ExcerptList.of(planner, 7).save(path)
    return path


def test_the_same_excerpts_come_back_bit_for_bit(planner, file):
    loaded = ExcerptList.load(file)
    assert loaded == ExcerptList.of(planner, 7)
    listed = ListedPlanner(Catalogue.load(planner.catalogue.root), loaded, GRID)
    assert len(listed) == 7
    pairs = zip(read_excerpts(planner, 7), read_excerpts(listed, 7), strict=True)
    for drawn, read in pairs:
        assert drawn.id == read.id
        assert drawn.sources.dtype == read.sources.dtype
        np.testing.assert_array_equal(drawn.sources, read.sources)
        assert drawn.notes == read.notes


def test_a_listed_planner_gives_batches_too(planner, file):
    listed = ListedPlanner(planner.catalogue, ExcerptList.load(file), GRID)
    rows = list(numpy_batches(listed, num_steps=3))
    (whole,) = numpy_batches(planner, num_steps=1)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(row["sources"][0], whole["sources"][number])
        np.testing.assert_array_equal(row["gains"][0], whole["gains"][number])
        expected = whole["notes"][number][:, : listed.num_notes]
        np.testing.assert_array_equal(row["notes"][0], expected)
        assert not whole["notes"][number][:, listed.num_notes :].any()
    with pytest.raises(ValueError, match=r"k must lie in 0\.\.6, got 7"):
        listed.batch(7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(version=9), "not a list of excerpts"),
        (lambda content: content.pop("split"), "not a list of excerpts"),
        (lambda content: content["excerpts"][2].pop(), "excerpt 2 has 2 sources for 3 instruments"),
        (
            lambda content: content["excerpts"][2][0].update(start="0"),
            "start: a whole number expected, got '0'",
        ),
        (lambda content: content["excerpts"][2][0].update(start=9**9), "excerpt 2 lies outside"),
        (lambda content: content["excerpts"][2][0].update(stem="S77"), r"excerpt 2 needs .* S77"),
        (lambda content: content["excerpts"][2][1].update(rms_db=-9.0), "made from other data"),
        (lambda content: content["excerpts"][2][1].update(num_notes=77), "made from other data"),
        (
            lambda content: content["excerpts"][2][1].update(gain=float("inf")),
            "a finite number expected, got inf",
        ),
        (lambda content: content["instruments"].reverse(), r"excerpt 0 has .* says"),
        (lambda content: content.update(num_samples="1"), "num_samples: a whole number expected"),
        (lambda content: content.update(num_samples=0), "num_samples must be a positive whole"),
        (lambda content: content.update(excerpts=[]), "it has no excerpts"),
        (lambda content: content.update(sample_rate_hz=8000), "at 8000 Hz, used at 16000 Hz"),
    ],
)
def test_lists_that_do_not_fit(planner, file, change, message):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        ListedPlanner(planner.catalogue, ExcerptList.load(file), GRID, name=str(file))


def test_files_that_are_no_lists(tmp_path, planner):
    with pytest.raises(FileNotFoundError, match=r"python -m data_pipeline\.excerpts"):
        ExcerptList.load(tmp_path / "none.json")
    for text in ("", "[]", "3", "\0"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match="not a list of excerpts"):
            ExcerptList.load(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="count must be positive"):
        ExcerptList.of(planner, 0)


def test_songs_of_the_same_names_are_noticed(planner, file, tmp_path):
    """Another tree with the same tracks and stems, but other music."""
    from data_pipeline import prepare

    stems = (*FIVE[::-1], "guitar", "piano")
    make_tree(tmp_path / "raw", {"validation": 5}, stems=stems, seconds=6)
    prepare.prepare("slakh2100", tmp_path / "raw", out=tmp_path / "out", progress=False)
    with pytest.raises(ValueError, match=r"excerpt 0 (was made from other data|has .* says)"):
        ListedPlanner(Catalogue.load(tmp_path / "out"), ExcerptList.load(file), GRID)


def test_the_config_names_a_list(tmp_path):
    root = prepare_data(tmp_path / "data")
    config = tiny_config(root)
    drawn, count = data.test_excerpts(config, "test")
    assert count == config.data.num_test_excerpts
    path = tmp_path / "list.json"
    ExcerptList.of(drawn, 2).save(path)
    config = tiny_config(root, **{"evaluation.excerpts": str(path)})
    listed, count = data.test_excerpts(config, "test")
    assert count == 2
    for excerpt, read in zip(read_excerpts(drawn, 2), read_excerpts(listed, 2), strict=True):
        np.testing.assert_array_equal(excerpt.sources, read.sources)
        assert excerpt.notes == read.notes
    with pytest.raises(ValueError, match="holds excerpts of the split 'test', not of 'validation'"):
        data.test_excerpts(config, "validation")
    piano = tiny_config(root, **{"evaluation.excerpts": str(path), "instruments": "piano"})
    with pytest.raises(ValueError, match=r"list of excerpts of piano, drums; .* instruments piano"):
        data.test_excerpts(piano, "test")


def test_command_line(catalogue, tmp_path):
    command = [sys.executable, "-m", "data_pipeline.excerpts", f"--out={tmp_path / 'a.json'}"]
    command += ["--split=validation", "--instruments=piano,bass", "--count=3", "--seconds=1"]
    run = subprocess.run(
        [*command, f"--data={catalogue.root}"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    loaded = ExcerptList.load(tmp_path / "a.json")
    assert len(loaded.excerpts) == 3
    assert loaded.instruments == ("piano", "bass")
    assert loaded.num_samples == 16000
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("error: --data=DIR is needed")


@pytest.mark.parametrize("name", ["augment_semitones", "augment_equaliser_db"])
def test_shifted_and_filtered_excerpts_cannot_be_listed(catalogue, name):
    planner = Planner(catalogue, plan_config(**{name: 2}))
    with pytest.raises(ValueError, match=f"{name} must be 0"):
        ExcerptList.of(planner, 1)
