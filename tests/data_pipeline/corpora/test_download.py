"""Downloading from a server on this machine: resumed, damaged, cut short, unsafe, no space."""

import collections
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from data_pipeline.corpora import archive, download
from data_pipeline.corpora.corpus import Archive, Corpus
from data_pipeline.corpora.registry import CORPORA
from tests.data_pipeline.corpora.test_archive import make_tar, make_zip

FILES = [(f"top/{name}.bin", bytes(range(256)) * 800) for name in "abc"]


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; `cuts` are bytes after which the next answers break off, `refusals` statuses
    that the next ones have instead of a body; ranges start `late` bytes after what was asked for.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cuts, self.ranges, self.late = b"", [], True, 0
        self.refusals, self.asked = [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/files/x.tar.gz?download=1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range", "")
        server.asked.append(asked)
        begin = int(asked[6:-1]) if asked and server.ranges else 0
        total = len(server.content)
        body = server.content[begin:]
        if server.refusals:
            self.send_error(server.refusals.pop(0))
            return
        if begin >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            body = b""
        elif begin:
            begin += server.late
            body = server.content[begin:]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    server = Server()
    server.content = make_tar(tmp_path / "served", FILES).read_bytes()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def _archive(server, **kwargs):
    checksum = f"md5:{hashlib.md5(server.content).hexdigest()}"
    return Archive(server.url, **({"checksum": checksum, "folder": "tree"} | kwargs))


def _download(server, root, **kwargs):
    download.download("test", root, archives=(_archive(server, **kwargs),), progress=False)


def _begin(root, content):
    part = root.with_name(f"{root.name}.download") / "x.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(content)
    return part


def _download_in_two_calls(server, root, under_way):
    """The first breaks off, and leaves what has arrived in `under_way`."""
    server.cuts = [500] + [0] * 20
    with pytest.raises(OSError, match="broke off after 500 bytes"):
        _download(server, root)
    assert under_way.is_dir()
    server.cuts = []
    _download(server, root)


def _is_whole(root):
    content = {path.name: path.read_bytes() for path in (root / "tree").iterdir()}
    assert content == {name[4:]: served for name, served in FILES}
    assert not root.with_name(f"{root.name}.download").exists()


def test_a_tree_arrives_once(server, tmp_path):
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")
    _download(server, tmp_path / "root")
    assert server.asked == [""]


def test_a_link_leads_to_the_disk_that_is_filled(server, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "tree")
    (tmp_path / "disk" / "tree").mkdir()
    _download_in_two_calls(server, tmp_path / "link", tmp_path / "disk" / "tree.download")
    _is_whole(tmp_path / "disk" / "tree")


def test_a_disk_of_its_own_holds_what_is_under_way(server, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "root")
    (tmp_path / "root").mkdir()
    _download_in_two_calls(server, tmp_path / "root", tmp_path / "root" / ".download")
    _is_whole(tmp_path / "root")
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["tree"]


def test_broken_lines_are_taken_up_where_they_broke(server, tmp_path):
    server.cuts = [500, 300, 0, 0]
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")
    assert server.asked == ["", "bytes=500-", *["bytes=800-"] * 3]


def test_a_second_command_goes_on(server, tmp_path):
    server.cuts = [700] + [0] * 5
    with pytest.raises(OSError, match=r"broke off after 700 bytes .*same command goes on"):
        _download(server, tmp_path / "root")
    assert not (tmp_path / "root").exists()
    part = tmp_path / "root.download/x.tar.gz.part"
    assert part.read_bytes() == server.content[:700]
    server.asked.clear()
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")
    assert server.asked == ["bytes=700-"]


@pytest.mark.parametrize("extra", [0, 5])
def test_interrupted_after_the_last_byte_or_with_too_many(server, tmp_path, extra):
    _begin(tmp_path / "root", server.content + b"x" * extra)
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")


def test_another_range_than_was_asked_for_is_not_appended(server, tmp_path, monkeypatch):
    part = _begin(tmp_path / "root", server.content[:700])
    server.late = 1
    with monkeypatch.context() as patched:
        patched.setattr(download, "_ATTEMPTS", 1)
        message = r"x\.tar\.gz.*broke off after 0 bytes \(the server sent another range than it was"
        with pytest.raises(OSError, match=message):
            _download(server, tmp_path / "root")
    assert not part.exists() and server.asked == ["bytes=700-"]
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")


def test_more_than_the_server_has_is_thrown_away(server, tmp_path, monkeypatch):
    part = _begin(tmp_path / "root", server.content + b"x")
    with monkeypatch.context() as patched:
        patched.setattr(download, "_ATTEMPTS", 1)
        message = r"broke off after 0 bytes \(the server has less than what is here already\)"
        with pytest.raises(OSError, match=message):
            _download(server, tmp_path / "root")
    assert not part.exists()


def test_stopped_while_the_sum_is_taken(server, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(download.pooch, "file_hash", stop)
        with pytest.raises(KeyboardInterrupt):
            _download(server, tmp_path / "root")
    server.asked.clear()
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")
    assert server.asked == [f"bytes={len(server.content)}-"]


def test_a_server_without_ranges(server, tmp_path):
    server.ranges, server.cuts = False, [500]
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")


def test_a_wrong_sum(server, tmp_path):
    with pytest.raises(ValueError, match=r"x\.tar\.gz.*does not match the known hash"):
        _download(server, tmp_path / "root", checksum=f"md5:{32 * '0'}")
    assert not (tmp_path / "root").exists()
    assert list((tmp_path / "root.download").iterdir()) == []
    part = tmp_path / "root.download/x.tar.gz.part"
    part.write_bytes(b"not what the server has")
    with pytest.raises(ValueError, match="does not match the known hash"):
        _download(server, tmp_path / "root")
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")


def test_the_other_kind_of_sum(server, tmp_path):
    checksum = f"sha256:{hashlib.sha256(server.content).hexdigest()}"
    _download(server, tmp_path / "root", checksum=checksum)
    _is_whole(tmp_path / "root")
    with pytest.raises(ValueError, match=r"its sha256 sum .* does not match"):
        _download(server, tmp_path / "other", checksum=f"sha256:{64 * '0'}")


def test_no_such_file_and_no_server(server, tmp_path):
    server.refusals = [404]
    with pytest.raises(OSError, match=r"404.*x\.tar\.gz"):
        _download(server, tmp_path / "root")
    gone = Archive("http://127.0.0.1:9/x.zip", f"md5:{32 * '0'}", "tree")
    with pytest.raises(OSError, match=r"x\.zip: broke off after 0 bytes"):
        download.download("test", tmp_path / "root", archives=(gone,), progress=False)


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.refusals, server.cuts = [503, 429], [500]
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")
    assert server.asked == ["", "", "", "bytes=500-"]
    server.refusals = [502] * 5
    with pytest.raises(OSError, match=r"broke off after 0 bytes \(the server answered 502\)"):
        _download(server, tmp_path / "other")


def test_pauses_grow_while_nothing_comes(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    server.cuts = [0, 0, 0, 500, 0, 0]
    _download(server, tmp_path / "root")
    assert pauses == [0.01, 0.02, 0.04, 0.01, 0.01, 0.02]


def test_stopped_between_unpacking_and_sweeping(server, tmp_path):
    _download(server, tmp_path / "root")
    work = tmp_path / "root.download"
    (work / "x.tar.gz.unpacked").mkdir(parents=True)
    (work / "x.tar.gz").write_bytes(server.content)
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")
    assert len(server.asked) == 1


def test_an_unsafe_member(server, tmp_path):
    server.content = make_tar(tmp_path / "evil", [("../evil.txt", b"1")]).read_bytes()
    with pytest.raises(ValueError, match=r"evil\.txt' would leave the target folder"):
        _download(server, tmp_path / "root")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not (tmp_path / "root").exists()


def test_a_zip_without_top_folder(server, tmp_path):
    members = [("a.jams", b"{}"), ("b.jams", b"{}")]
    server.content = make_zip(tmp_path / "zip", members).read_bytes()
    _download(server, tmp_path / "root", folder="annotation")
    assert len(list((tmp_path / "root/annotation").glob("*.jams"))) == 2


def test_no_space(server, tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "free")
    size = len(server.content)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage(archive.RESERVE + 2 * size))
    with pytest.raises(OSError, match=r"downloading http://127.*needs .* GB are free; make room"):
        _download(server, tmp_path / "root")
    assert not list((tmp_path / "root.download").iterdir())
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage(1 << 40))
    _download(server, tmp_path / "root")
    _is_whole(tmp_path / "root")


def test_what_cannot_be_downloaded(tmp_path):
    with pytest.raises(ValueError, match=r"MAPS is given out on request only.*ENSTDkAm"):
        download.download("maps", tmp_path / "root")
    with pytest.raises(ValueError, match=r"python -m data_pipeline\.minislakh"):
        download.download("minislakh", tmp_path / "root")
    (tmp_path / "root/slakh2100_flac_redux").mkdir(parents=True)  # that one may be there
    (tmp_path / "root/train").mkdir()
    with pytest.raises(ValueError, match=r"holds other files already \(train, \.\.\.\)"):
        download.download("slakh2100", tmp_path / "root")


def test_a_corpus_without_archives(tmp_path, monkeypatch):
    monkeypatch.setitem(CORPORA, "toy", Corpus(lambda root: []))
    for name in ("toy", "jazz"):
        with pytest.raises(ValueError, match=rf"{name}: unknown .*--download knows .*slakh2100"):
            download.download(name, tmp_path / "root")


def test_the_published_archives():
    for corpus in CORPORA.values():
        assert corpus.archives or corpus.elsewhere
        for published in corpus.archives:
            algorithm, _, value = published.checksum.partition(":")
            assert len(value) == {"md5": 32, "sha256": 64}[algorithm]
            assert published.name.endswith((".zip", ".tar.gz"))
            assert published.url.startswith("https://")
