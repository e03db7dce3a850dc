"""Names that fit a file system, and files that are whole or not there."""

import os

import pytest

from data_pipeline.io.files import fitting_name, whole_file


@pytest.mark.parametrize("name", ["a", "x" * 251, "Für Elise", os.fsdecode(b"caf\xe9")])
def test_a_name_that_fits_stays(name):
    assert fitting_name(name, ".npz") == f"{name}.npz"


def test_long_names_are_cut_and_stay_distinct():
    names = ["x" * 300, "x" * 301, "x" * 299 + "y", "音" * 100, os.fsdecode(b"\xe9" * 300)]
    cut = [fitting_name(name, ".npz") for name in names]
    assert len(set(cut)) == 5
    assert [len(os.fsencode(name)) for name in cut] == [255, 255, 255, 253, 13]
    assert cut[0] == "x" * 242 + "~" + cut[0][243:251] + ".npz"
    assert cut[3].startswith("音" * 80 + "~") and all(name.endswith(".npz") for name in cut)


def test_a_file_of_the_longest_name_is_written_whole(tmp_path):
    path = tmp_path / ("x" * 255)
    with whole_file(path) as temporary:
        temporary.write_text("content")
    assert path.read_text() == "content"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_fails_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("before")
    with pytest.raises(ValueError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1
