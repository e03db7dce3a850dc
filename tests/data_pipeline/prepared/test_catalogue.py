"""The catalogue: its PCM and notes, and errors that hold the command to type."""

import shutil

import pytest

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import PCM, VERSION
from tests.tiny_slakh import make_tree


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("catalogue")
    make_tree(root / "raw", {"train": 2, "test": 1}, stems=("piano", "bass", "bass"), seconds=1)
    prepare.prepare("slakh2100", root / "raw", out=root / "out", progress=False)
    return root


def test_splits_and_pcm(prepared):
    catalogue = Catalogue.load(prepared / "out")
    assert catalogue.splits == ["test", "train"]
    (pcm,) = catalogue.pcm()
    assert pcm.shape == (3 * 3 * 16000,)


def test_missing_folder_and_raw_tree_name_the_command(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m data_pipeline\.prepare --corpus="):
        Catalogue.load(tmp_path / "nowhere")
    raw = prepared / "raw"
    with pytest.raises(ValueError, match="not a prepared directory") as error:
        Catalogue.load(raw)
    command = (
        f"python -m data_pipeline.prepare --corpus=slakh2100 --root={raw} --out={raw}_prepared"
    )
    assert command in str(error.value)


def test_an_unfinished_corpus_beside_a_finished_one_is_named(prepared, tmp_path, caplog):
    shutil.copytree(prepared / "out", tmp_path / "out")
    (tmp_path / "out/guitarset/part-abc").mkdir(parents=True)
    assert Catalogue.load(tmp_path / "out").corpora == ("slakh2100",)
    assert "preparing guitarset has not been finished; it is left out" in caplog.text


def test_pcm_of_another_length(prepared, tmp_path):
    shutil.copytree(prepared / "out", tmp_path / "out")
    pcm = tmp_path / "out/slakh2100" / VERSION / PCM
    pcm.write_bytes(pcm.read_bytes()[:-2])
    with pytest.raises(ValueError, match=r"pcm\.int16: expected 288000 bytes, got 287998"):
        Catalogue.load(tmp_path / "out")


def test_a_corpus_folder_alone_and_a_moved_directory(prepared, tmp_path):
    moved = shutil.copytree(prepared / "out", tmp_path / "moved")
    for root in (moved, moved / "slakh2100"):
        catalogue = Catalogue.load(root)
        assert (catalogue.corpora, catalogue.version) == (("slakh2100",), VERSION)
        assert len(catalogue.notes(0)) > 0


def test_where_one_is_already_has_its_name(prepared, monkeypatch):
    monkeypatch.chdir(prepared / "out/slakh2100")
    for root in (".", "..", ""):
        assert Catalogue.load(root).corpora == ("slakh2100",)
    monkeypatch.chdir(prepared / "raw")
    with pytest.raises(ValueError, match=r"(?s)not a prepared directory .*raw_prepared"):
        Catalogue.load(".")
