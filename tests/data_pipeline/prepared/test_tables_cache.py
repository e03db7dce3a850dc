"""The file of the tables: made of the records, remade when these change, enough without TFDS."""

import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from data_pipeline.prepared import tables_cache
from data_pipeline.prepared.layout import RECORDS, TABLES, VERSION
from data_pipeline.prepared.records import read_records, write_records
from data_pipeline.prepared.tables_cache import load_tables
from tests import ROOT
from tests.tiny_run import prepare_data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared directory that nothing has read yet."""
    return prepare_data(tmp_path_factory.mktemp("prepared"), splits=("train", "test"))


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "copy") / "tiny" / VERSION


@pytest.fixture
def readings(monkeypatch):
    """One entry for each time that records are read."""
    calls, read = [], tables_cache._read_records
    monkeypatch.setattr(tables_cache, "_read_records", lambda f: calls.append(f) or read(f))
    return calls


def _check_equal(tables, expected):
    for name, value in vars(expected).items():
        array = getattr(tables, name)
        np.testing.assert_array_equal(array, value)
        assert np.asarray(array).dtype == np.asarray(value).dtype


def test_the_records_are_read_once(folder, readings):
    first = load_tables(folder)
    assert (folder / TABLES).is_file()
    _check_equal(load_tables(folder), first)
    assert len(readings) == 1


def test_a_copy_with_other_times_keeps_it(folder, readings, tmp_path):
    expected = load_tables(folder)
    moved = shutil.copytree(folder, tmp_path / "moved" / VERSION)
    for path in moved.iterdir():
        os.utime(path, (1, 1))
    _check_equal(load_tables(moved), expected)
    assert len(readings) == 1


def test_other_records_are_noticed_even_at_the_same_size(folder, readings, tmp_path):
    before = load_tables(folder)
    records = read_records(folder)
    records["train"][0]["pitches"] = records["train"][0]["pitches"] + np.int16(1)
    other = write_records(records, "tiny", tmp_path / "other")
    sizes = [[path.stat().st_size for path in sorted(f.glob(RECORDS))] for f in (folder, other)]
    assert sizes[0] == sizes[1]
    for path in other.iterdir():
        shutil.copy(path, folder / path.name)
    changed = load_tables(folder)
    assert len(readings) == 2
    assert (changed.pitches - before.pitches).tolist().count(1) == 12
    _check_equal(load_tables(folder), changed)
    assert len(readings) == 2


@pytest.mark.parametrize("content", [b"", b"PK no", None])
def test_a_damaged_file_is_made_anew(folder, readings, content):
    expected = load_tables(folder)
    path = folder / TABLES
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    _check_equal(load_tables(folder), expected)
    _check_equal(load_tables(folder), expected)
    assert len(readings) == 2


def test_where_it_cannot_be_written_the_records_serve_and_that_is_said_once(
    folder, readings, monkeypatch, caplog
):
    def read_only(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(tables_cache, "whole_file", read_only)
    for _ in range(3):
        assert len(load_tables(folder).stem_ids) == 8
    assert len(readings) == 3
    assert len(caplog.records) == 1
    assert str(folder / TABLES) in caplog.text


_WITHOUT_TFDS = """
import sys

for name in ("tensorflow_datasets", "array_record", "tensorflow"):
    sys.modules[name] = None  # what importing it meets where it is not installed
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.numpy_reader import numpy_batches
from cerberus_jax.frames import FrameGrid

try:
    planner = Planner(Catalogue.load(sys.argv[1]), PlanConfig(("piano",), FrameGrid(), 16000, 2))
    (batch,) = numpy_batches(planner, num_steps=1)
    print(sorted(batch))
except ValueError as error:
    print(error)
"""


def test_a_machine_without_tfds_reads_the_file_or_says_what_to_do(folder):
    def run():
        command = [sys.executable, "-c", _WITHOUT_TFDS, str(folder.parents[1])]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    missing = run()
    assert missing.returncode == 0, missing.stderr
    assert "pip install tensorflow-datasets array-record" in missing.stdout
    assert f"copy {TABLES}" in missing.stdout
    load_tables(folder)
    present = run()
    assert present.stdout == "['gains', 'labelled', 'notes', 'sources']\n", present.stderr


def test_a_fault_inside_the_reader_is_no_missing_package(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "data_pipeline.prepared.records", None)
    with pytest.raises(ModuleNotFoundError, match="records"):
        load_tables(folder)


def test_damaged_records_name_the_folder(folder):
    next(folder.glob(RECORDS)).unlink()
    with pytest.raises(ValueError, match=rf"{VERSION}: not the records of tracks.*prepare again"):
        load_tables(folder)
