"""Directories of the first version are read as they are."""

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import FIRST_VERSION, PCM, TABLES, VERSION
from tests.tiny_slakh import make_tree

FORMER = {"cell": "rms_hop", "levels": "rms_db", "level_start": "rms_start"}
SAME = ("sample_rate_hz", "track_ids", "track_splits", "track_corpora", "track_num_samples")
SAME += ("stem_tracks", "stem_ids", "stem_instruments", "stem_programs", "stem_is_drum")
SAME += ("stem_pcm_start", "note_start", "onsets", "offsets", "pitches", "velocities")


@pytest.fixture
def directories(tmp_path):
    """The same tracks as this version prepares them and as the first one did."""
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano", "bass"), seconds=1)
    options = {"num_workers": 1, "progress": False}
    prepare.prepare("slakh2100", tmp_path / "raw", out=tmp_path / "new", **options)
    new, old = (tmp_path / "new/slakh2100" / VERSION, tmp_path / "old/slakh2100" / FIRST_VERSION)
    old.mkdir(parents=True)
    (old / PCM).write_bytes((new / PCM).read_bytes())
    tables = Catalogue.load(tmp_path / "new").tables
    former = {name: getattr(tables, FORMER.get(name, name)) for name in [*SAME, *FORMER]}
    np.savez(old / TABLES, **former)
    return tmp_path / "new", tmp_path / "old"


def test_their_tables_are_the_same(directories):
    new, old = map(Catalogue.load, directories)
    for name, value in vars(new.tables).items():
        np.testing.assert_array_equal(getattr(old.tables, name), value)
    assert old.tables.stem_is_labelled.all()
    assert (old.version, new.version) == (FIRST_VERSION, VERSION)
    assert old.notes(1) == new.notes(1)


def test_preparing_such_a_corpus_anew_takes_its_place(directories, caplog):
    new, old = directories
    options = {"num_workers": 1, "progress": False}
    prepare.prepare("slakh2100", new.parent / "raw", out=old, **options)
    assert Catalogue.load(old).version == VERSION
    assert f"{old / 'slakh2100' / FIRST_VERSION} is no longer read" in caplog.text


def test_a_damaged_one_names_the_file(directories):
    _, old = directories
    path = old / "slakh2100" / FIRST_VERSION / TABLES
    for content in (b"", b"PK no", path.read_bytes()[:500]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"catalogue\.npz: not the tables .*prepare again"):
            Catalogue.load(old)
    np.savez(path, cell=3)
    with pytest.raises(ValueError, match=r"catalogue\.npz: not the tables"):
        Catalogue.load(old)
