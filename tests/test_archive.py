"""Unpacking: content, damage, members that would get out, a full disk."""

import collections
import io
import tarfile
import zipfile

import pytest

from data_pipeline import archive


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
    one = make(tmp_path / "one", [("top/a/x.txt", b"x" * 5000), ("top/y.txt", b"y")])
    found = _unpack(one, tmp_path / "t1")
    assert found == tmp_path / "t1/top"
    assert (found / "a/x.txt").read_bytes() == b"x" * 5000
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
