"""Unpacking: content, damage, members that would get out, a full disk."""

import collections
import io
import tarfile
import zipfile

import pytest

from data_pipeline.corpora import archive


def make_tar(path, members):
    """Write a tar.gz; a member is (name, bytes) or (name, TarInfo type, link name)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, *rest in members:
            info = tarfile.TarInfo(name)
            if len(rest) == 2:
                info.type, info.linkname = rest
                tar.addfile(info)
            else:
                info.size = len(rest[0])
                tar.addfile(info, io.BytesIO(rest[0]))
    return path


def make_zip(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def _unpack(path, target):
    return archive.unpack(path, target, progress=False)


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_content_and_top_folder(tmp_path, make):
    with_top = make(tmp_path / "one", [("top/a/x.txt", b"x" * 5000), ("top/y.txt", b"y")])
    folder = _unpack(with_top, tmp_path / "t1")
    assert folder == tmp_path / "t1/top"
    assert (folder / "a/x.txt").read_bytes() == b"x" * 5000
    two = make(tmp_path / "two", [("x.txt", b"x"), ("y.txt", b"y")])
    (tmp_path / "t2").mkdir()
    (tmp_path / "t2/left over").touch()
    assert _unpack(two, tmp_path / "t2") == tmp_path / "t2"
    assert sorted(path.name for path in (tmp_path / "t2").iterdir()) == ["x.txt", "y.txt"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_members_that_would_get_out(tmp_path, make, name):
    path = make(tmp_path / "x", [("good", b"1"), (name, b"2")])
    with pytest.raises(ValueError, match=r"refused, member .*evil.* would leave"):
        _unpack(path, tmp_path / "in/target")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path / "in/target").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_special_files(tmp_path, kind):
    path = make_tar(tmp_path / "x", [("link", kind, str(tmp_path)), ("link/evil", b"2")])
    with pytest.raises(ValueError, match="'link' is neither file nor folder"):
        _unpack(path, tmp_path / "target")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "target").exists()


def test_a_link_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        file.writestr(info, str(tmp_path))
    with pytest.raises(ValueError, match="'link' is neither file nor folder"):
        _unpack(tmp_path / "x", tmp_path / "target")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_damage(tmp_path, make):
    content = bytes(range(256)) * 400
    path = make(tmp_path / "x", [("a", content), ("b", content)])
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text" * 100):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="not an archive, or damaged"):
            _unpack(path, tmp_path / "target")
        assert not (tmp_path / "target").exists()


def _patched(path, place, value):
    content = bytearray(path.read_bytes())
    content[place : place + len(value)] = value
    path.write_bytes(content)
    return path


def test_damage_names_the_member(tmp_path):
    path = make_zip(tmp_path / "x", [("a", b"1" * 99), ("b/c", b"2" * 99)])
    _patched(path, path.read_bytes().index(b"2" * 99), b"3")
    with pytest.raises(ValueError, match=r"x: not .*damaged at or after member 'b/c' \(Bad CRC"):
        _unpack(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def _plain_tar(path, **headers):
    """Three members of 700 bytes; the second has these PAX headers."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in "abc":
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = 700, headers if name == "b" else {}
            tar.addfile(info, io.BytesIO(b"x" * 700))
    return path


def test_a_header_in_the_middle_that_cannot_be_read(tmp_path):
    path = _patched(_plain_tar(tmp_path / "x"), 2 * 1536 + 150, b"!!!")
    with pytest.raises(ValueError, match=r"damaged at or after member 'b' \(unreadable header\)"):
        _unpack(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    pax = _plain_tar(tmp_path / "pax", **{"GNU.sparse.map": "0,one"})
    with pytest.raises(ValueError, match=r"pax: .*damaged at or after member 'a' \(invalid lit"):
        _unpack(pax, tmp_path / "target")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (8, b"\1", "x: member 'b' is encrypted; unpack the archive with its password"),
        (10, b"\x0c", "x: member 'b' is compressed by method 12, only 0 .* are read; unpack"),
        (10, b"\x63", "x: member 'b' is compressed by method 99"),
    ],
)
def test_members_of_a_zip_that_are_not_read(tmp_path, place, value, message):
    path = make_zip(tmp_path / "x", [("a", b"1"), ("b", b"2")])
    _patched(path, path.read_bytes().rindex(b"PK\1\2") + place, value)
    with pytest.raises(ValueError, match=message):
        _unpack(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_zip_that_points_before_its_begin(tmp_path):
    path = make_zip(tmp_path / "x", [("a", b"1"), ("b", b"2")])
    content = path.read_bytes()
    place = content.rindex(b"PK\5\6") + 16  # says where the list of members begins
    begin = int.from_bytes(content[place : place + 4], "little")
    _patched(path, place, (begin + 5).to_bytes(4, "little"))
    with pytest.raises(ValueError, match="x: not an archive, or damaged"):
        _unpack(path, tmp_path / "target")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_full_disk(tmp_path, make, monkeypatch):
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage(archive.RESERVE + 10))
    small = make(tmp_path / "small", [("a", b"123")])
    assert _unpack(small, tmp_path / "target").is_dir()
    large = make(tmp_path / "large", [("a", b"x" * 11)])
    with pytest.raises(OSError, match=r"unpacking large needs 0\.1 GB, 0\.1 GB are free"):
        _unpack(large, tmp_path / "target")
    assert not (tmp_path / "target").exists()
