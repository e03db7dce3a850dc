"""Files of arrays: what numpy writes is read; anything else is refused before memory is taken."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from data_pipeline.io.arrays import check_arrays, read_arrays

ARRAYS = {
    "counts": np.arange(6, dtype=np.int16).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "name": np.array("Track1"),
    "none": np.zeros((0, 5), np.float32),
}


def _npy(header: str) -> bytes:
    """An array without content, with any header."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _zip(path, content: bytes, *, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", content)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    found = read_arrays(tmp_path / "x.npz", "arrays")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert [*read_arrays(tmp_path / "x.npz", "arrays", names=["name"])] == ["name"]
    assert "name" not in read_arrays(tmp_path / "x.npz", "arrays", without=["name"])


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(14), b"\x93NUMPY"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    message = r"x\.npz: not arrays \(File is not a zip file\); again$"
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "x.npz", "arrays", remedy="again")


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (HUGE, r"'a' announces \(1000000000000,\) of float64, 0 bytes there"),
        (HUGE.replace("1000000000000", "-1"), r"announces \(-1,\)"),
        (HUGE.replace("<f8", "|O"), "no array of numbers or text"),
        (HUGE.replace("<f8", "<U0"), "no array of numbers or text"),
        (HUGE.replace("<f8", "qq"), "qq"),
        ("{'descr'", ""),
        ("(" * 100, ""),
    ],
)
def test_a_header_that_cannot_be_true_takes_no_memory(tmp_path, header, reason):
    _zip(tmp_path / "x.npz", _npy(header))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"x\.npz: not arrays \(.*" + reason):
        read_arrays(tmp_path / "x.npz", "arrays")
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_numpy_does_not_write(tmp_path, method):
    _zip(tmp_path / "x.npz", b"a" * 1000, method=method)
    with pytest.raises(ValueError, match=r"'a' is encrypted, or compressed otherwise"):
        read_arrays(tmp_path / "x.npz", "arrays")


@pytest.mark.parametrize(("at", "byte"), [(8, 99), (6, 1), (8, 14)])
def test_headers_of_members_that_zipfile_answers_with_other_errors(tmp_path, at, byte):
    """A method that does not exist (NotImplementedError), encryption (RuntimeError), LZMA."""
    np.savez(tmp_path / "x.npz", a=np.arange(100))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[at] = content[content.find(b"PK\x01\x02") + at + 2] = byte
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: not arrays"):
        read_arrays(tmp_path / "x.npz", "arrays")


def test_a_damaged_stream_of_deflate(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", a=np.random.default_rng(0).integers(0, 9, 1000))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: not arrays"):
        read_arrays(tmp_path / "x.npz", "arrays")


def test_members_that_share_their_bytes_are_not_all_read(tmp_path):
    """A small archive whose directory names one member a thousand times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", bytes(20_000))
        (member,) = archive.infolist()
        for number in range(1000):
            other = zipfile.ZipInfo(f"{number}.npy")
            other.CRC, other.header_offset = member.CRC, member.header_offset
            other.file_size = other.compress_size = member.file_size
            archive.filelist.append(other)
    (tmp_path / "x.npz").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="bytes of arrays announced, which"):
        read_arrays(tmp_path / "x.npz", "arrays")


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", b=np.zeros(1))
    with pytest.raises(ValueError, match=r"x\.npz: not arrays \(no array a, it has \['b'\]\)"):
        read_arrays(tmp_path / "x.npz", "arrays", names=["a"])
    with pytest.raises(FileNotFoundError, match=r"y\.npz"):
        read_arrays(tmp_path / "y.npz", "arrays")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"onsets": np.zeros(2, int)}, "onsets of kind f with 1 axes expected"),
        ({"onsets": np.zeros((2, 1))}, "onsets of kind f with 1 axes expected"),
        ({"onsets": np.array([0, np.nan])}, "onsets: finite numbers expected"),
        ({"pitches": np.zeros(3, int)}, "pitches of 2 notes expected, it has 3"),
    ],
)
def test_kinds_and_shapes(change, message):
    forms = {"onsets": ("f", "notes"), "pitches": ("i", "notes")}
    arrays = {"onsets": np.zeros(2), "pitches": np.zeros(2, np.uint8)}
    check_arrays(arrays, forms)
    with pytest.raises(ValueError, match=message):
        check_arrays(arrays | change, forms)
    with pytest.raises(ValueError, match="no array pitches"):
        check_arrays({"onsets": np.zeros(2)}, forms)
