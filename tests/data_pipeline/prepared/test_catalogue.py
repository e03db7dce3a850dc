"""The catalogue: round trip, joining corpora, and errors that hold the command to type."""

import shutil

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import Catalogue, Tables
from tests.tiny_slakh import make_tree


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("catalogue")
    make_tree(root / "raw", {"train": 2, "test": 1}, stems=("piano", "bass", "bass"), seconds=1)
    prepare.prepare("slakh2100", root / "raw", out=root / "out", progress=False, records=False)
    return root


def test_round_trip(prepared, tmp_path):
    tables = Catalogue.load(prepared / "out").tables
    tables.save(tmp_path / "copy.npz")
    again = Tables.load(tmp_path / "copy.npz")
    for name, value in vars(tables).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_joined_tables_point_where_they_should(prepared):
    tables = Catalogue.load(prepared / "out").tables
    joined = Tables.joined([tables, tables])
    count = len(tables.stem_ids)
    assert joined.track_corpora.tolist() == [0] * 3 + [1] * 3
    for stem in range(count):
        twin = stem + count
        assert (
            joined.track_ids[joined.stem_tracks[twin]] == tables.track_ids[tables.stem_tracks[stem]]
        )
        for start, values in (("note_start", "onsets"), ("level_start", "levels")):
            pointers, own = getattr(joined, start), getattr(tables, start)
            np.testing.assert_array_equal(
                getattr(joined, values)[pointers[twin] : pointers[twin + 1]],
                getattr(tables, values)[own[stem] : own[stem + 1]],
            )
    other = Tables(**{**vars(tables), "sample_rate_hz": 8000})
    with pytest.raises(ValueError, match="share one sample rate"):
        Tables.joined([tables, other])


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


def test_damaged_files(prepared, tmp_path):
    shutil.copytree(prepared / "out", tmp_path / "out")
    folder = tmp_path / "out/slakh2100/1.0.0"
    pcm = folder / "pcm.int16"
    pcm.write_bytes(pcm.read_bytes()[:-2])
    with pytest.raises(ValueError, match=r"pcm\.int16: expected 288000 bytes, found 287998"):
        Catalogue.load(tmp_path / "out")
    (folder / "catalogue.npz").write_bytes(b"PK no")
    with pytest.raises(ValueError, match=r"catalogue\.npz: not a catalogue"):
        Catalogue.load(tmp_path / "out")
