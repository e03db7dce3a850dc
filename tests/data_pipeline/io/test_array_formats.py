"""The format of an array in a file: what numpy writes for long headers, and what it does not."""

import io
import zipfile

import numpy as np
import pytest

from data_pipeline.io.arrays import read_arrays


def _written(path, version):
    array = np.arange(6, dtype=np.int16)
    with io.BytesIO() as file, zipfile.ZipFile(path, "w") as archive:
        np.lib.format.write_array(file, array, version=version)
        archive.writestr("a.npy", file.getvalue())
    return array


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_formats_of_numbers_are_read(tmp_path, version):
    array = _written(tmp_path / "x.npz", version)
    np.testing.assert_array_equal(read_arrays(tmp_path / "x.npz", "arrays")["a"], array)


def test_another_format_is_refused(tmp_path):
    _written(tmp_path / "x.npz", (3, 0))
    message = r"x\.npz: not arrays \('a' is of format \(3, 0\), 1\.0 or 2\.0 expected\)"
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "x.npz", "arrays")
