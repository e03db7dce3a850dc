"""Files below a folder: links, loops of links, links to nothing, folders that are closed."""

from pathlib import Path

from data_pipeline.io.folders import files_below


def names(root, **options):
    return [path.relative_to(root).as_posix() for path in files_below(root, **options)]


def make(root, *files):
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_links_are_followed(tmp_path):
    make(tmp_path / "elsewhere", "a.wav", "deep/b.wav")
    make(tmp_path / "root", "c.wav", "own/d.wav")
    (tmp_path / "root/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/e.wav").symlink_to(tmp_path / "elsewhere/a.wav")
    expected = ["c.wav", "e.wav", "link/a.wav", "link/deep/b.wav", "own/d.wav"]
    assert names(tmp_path / "root") == expected
    assert names(tmp_path / "root", max_depth=1) == [n for n in expected if "deep" not in n]
    assert names(tmp_path / "root", max_depth=0) == ["c.wav", "e.wav"]


def test_a_folder_counts_once_and_by_its_own_name(tmp_path):
    make(tmp_path, "z/deep/a.wav")
    (tmp_path / "b").symlink_to(tmp_path / "z/deep")
    (tmp_path / "c").symlink_to(tmp_path / "z")
    (tmp_path / "z/loop").symlink_to(tmp_path)
    (tmp_path / "z/deep/loop").symlink_to("..")
    assert names(tmp_path) == ["z/deep/a.wav"]


def test_several_links_to_one_folder_elsewhere_all_count(tmp_path):
    make(tmp_path / "elsewhere", "a.wav")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root").mkdir()
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "root") == ["one/a.wav", "two/a.wav"]


def test_hidden_files_are_left_out(tmp_path):
    make(tmp_path, "._a.wav", ".hidden/b.wav", "c.wav")
    assert names(tmp_path) == ["c.wav"]


def test_what_cannot_be_followed_is_said(tmp_path, caplog, monkeypatch):
    make(tmp_path, "a.wav", "closed/b.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["a.wav", "closed/b.wav"]
    (record,) = caplog.records
    assert "gone.wav: left out, a link to nothing" in record.getMessage()
    caplog.clear()
    listed = Path.iterdir

    def iterdir(self):
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert names(tmp_path) == ["a.wav"]
    link, closed = (record.getMessage() for record in caplog.records)
    assert "gone.wav: left out, a link to nothing" in link
    assert "closed: left out, cannot be looked into (Permission denied)" in closed


def test_many_links_to_nothing_are_counted(tmp_path, caplog):
    for number in range(25):
        (tmp_path / f"{number}.wav").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == []
    assert len(caplog.records) == 11 and "15 more such places" in caplog.text
