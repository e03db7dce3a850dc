"""What is said when nothing can be drawn: which class, which track, what to do."""

import pytest

from data_pipeline import prepare
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from tests.tiny_slakh import make_track, plan_config, tiny_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return tiny_catalogue(tmp_path_factory.mktemp("plan_errors"))


def test_a_split_without_the_instrument(catalogue):
    with pytest.raises(
        ValueError, match=r"train: no track has flute; Track0000\d has bass.*no flu"
    ):
        Planner(catalogue, plan_config(instruments=("piano", "flute")))
    with pytest.raises(ValueError, match=r"short: no track has guitar; Track00010 has piano"):
        Planner(catalogue, plan_config(split="short"))
    with pytest.raises(ValueError, match=r"test: .* has no such split; it has short, train, val"):
        Planner(catalogue, plan_config(split="test"))


def test_windows_that_cannot_be(catalogue):
    with pytest.raises(ValueError, match=r"shorter than excerpt_seconds=10 .*lasts 6\.000 s"):
        Planner(catalogue, plan_config(num_samples=160000))
    with pytest.raises(ValueError, match=r"never active .*data\.active_rms_db=0"):
        Planner(catalogue, plan_config(active_rms_db=0))


def test_each_source_needs_tracks_of_its_own_that_are_long_enough(tmp_path):
    make_track(tmp_path / "raw/train/Track00001", ("piano",), seconds=1)
    make_track(tmp_path / "raw/train/Track00002", ("guitar",), seconds=4, seed=2)
    prepare.prepare("slakh2100", tmp_path / "raw", out=tmp_path / "out", progress=False)
    config = plan_config(instruments=("guitar", "piano"), coherent_probability=0.0)
    with pytest.raises(
        ValueError, match=r"tracks with piano are shorter .*Track00001, .* 1\.000 s"
    ):
        Planner(Catalogue.load(tmp_path / "out"), config)


def test_the_missing_drums_of_the_samples_are_named(samples, tmp_path):
    raw = samples / "slakh2100"
    prepare.prepare("slakh2100", raw, out=tmp_path, progress=False, num_workers=1)
    catalogue = Catalogue.load(tmp_path)
    instruments = ("piano", "strings", "drums")
    with pytest.raises(ValueError, match=r"validation: no track has drums; Track01501 has .*no dr"):
        Planner(catalogue, plan_config(instruments=instruments, split="validation"))
