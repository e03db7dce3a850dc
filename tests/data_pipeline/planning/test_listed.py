"""Lists against data with other labels: another octave of the bass is seen, old lists are read."""

import json

import pytest

from data_pipeline import prepare
from data_pipeline.planning.excerpt_list import ExcerptList
from data_pipeline.planning.listed import ListedPlanner
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.excerpts import read_excerpts
from tests.tiny_slakh import GRID, make_tree, plan_config

INSTRUMENTS = ("piano", "bass")


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory):
    """The same songs, with the bass labels where it sounds and where Slakh has them."""
    root = tmp_path_factory.mktemp("listed")
    make_tree(root / "raw", {"validation": 2}, stems=INSTRUMENTS, seconds=4)
    prepared = []
    for corrected in (True, False):
        out = root / f"corrected {corrected}"
        options = {"bass_octave_correction": corrected, "num_workers": 1}
        prepare.prepare("slakh2100", root / "raw", out=out, progress=False, **options)
        prepared.append(Catalogue.load(out))
    return prepared


@pytest.fixture
def file(catalogues, tmp_path):
    config = plan_config(instruments=INSTRUMENTS, fixed=True, split="validation", batch_size=2)
    ExcerptList.of(Planner(catalogues[0], config), 4).save(tmp_path / "list.json")
    return tmp_path / "list.json"


def test_other_labels_are_noticed(catalogues, file):
    corrected, as_published = catalogues
    excerpt_list = ExcerptList.load(file)
    assert len(ListedPlanner(corrected, excerpt_list, GRID)) == 4
    with pytest.raises(ValueError, match=r"L: excerpt 0 was made from other labels .*octave_corr"):
        ListedPlanner(as_published, excerpt_list, GRID, name="L")


def test_mean_pitches_are_those_of_the_excerpts(catalogues, file):
    excerpt_list = ExcerptList.load(file)
    excerpts = list(read_excerpts(ListedPlanner(catalogues[0], excerpt_list, GRID), 4))
    for row, excerpt in zip(excerpt_list.excerpts, excerpts, strict=True):
        for source, notes in zip(row, excerpt.notes, strict=True):
            pitches = notes.pitches.tolist()
            assert source.mean_pitch == pytest.approx(sum(pitches) / len(pitches), abs=0.006)


def test_older_lists_say_nothing_of_pitch(catalogues, file):
    content = json.loads(file.read_text())
    for row in content["excerpts"]:
        for source in row:
            del source["mean_pitch"]
    file.write_text(json.dumps(content))
    for catalogue in catalogues:
        assert len(ListedPlanner(catalogue, ExcerptList.load(file), GRID)) == 4
