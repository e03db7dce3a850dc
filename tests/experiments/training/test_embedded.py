"""The embedded MiniSlakh: where it goes, when it is made, what room it needs."""

import fcntl
import threading
import time
from types import SimpleNamespace

import pytest

from data_pipeline import minislakh, prepare
from data_pipeline.corpora import archive
from data_pipeline.corpora.scan import scan_corpus
from data_pipeline.minislakh.composer import VERSION as SONGS_VERSION
from data_pipeline.minislakh.tree import SETTINGS_FILE
from data_pipeline.prepared.layout import FIRST_VERSION, RECORDS_INFO, TABLES, VERSION
from experiments.config.loading import load_config
from experiments.runtime.cache_folder import CACHE_VARIABLE, cache_folder
from experiments.training import embedded


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Calls of build and prepare, which make only the file by which prepared data are known."""
    calls = []

    def build(out, *, num_songs, sample_rate_hz, **_):
        calls.append(("build", num_songs, sample_rate_hz))
        for split in ("train", "test"):
            (out / split / "Track00001").mkdir(parents=True, exist_ok=True)
        return out

    def prepared(corpus, tree, *, out, sample_rate_hz):
        calls.append((corpus, tree.name, sample_rate_hz))
        folder = out / corpus / VERSION
        folder.mkdir(parents=True)
        (folder / RECORDS_INFO).touch()

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(minislakh, "build", build, raising=False)
    monkeypatch.setattr(prepare, "prepare", prepared)
    return calls


def _elsewhere(folder):
    return load_config("sets/set4.py", {"data.root": str(folder)})


def test_the_embedded_data_are_made_once(made, tmp_path):
    config = load_config("sets/set4.py")
    first = embedded.root(config)
    assert embedded.root(config) == first
    assert made == [("build", embedded.DEFAULT_SONGS, 16000), ("minislakh", "tree", 16000)]
    assert first.is_relative_to(tmp_path / "cache")
    assert first.name == "prepared"


def test_rendered_training_songs_go_once_they_are_prepared(made):
    tree = embedded.tree(load_config("sets/set4.py"))
    assert [path.name for path in tree.iterdir()] == ["test"]
    assert (tree / "test" / "Track00001").is_dir()


def _stop_at(monkeypatch, name):
    def interrupted(path, **_):
        if path.name == name and path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(embedded.shutil, "rmtree", interrupted)


def test_a_stop_while_they_are_removed_leaves_no_half_of_a_song(made, monkeypatch):
    config = load_config("sets/set4.py")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _stop_at(patch, "removed")
        embedded.root(config)
    folder = cache_folder() / embedded.songs(config)
    assert [path.name for path in (folder / "tree").iterdir()] == ["test"]
    assert (folder / "removed").is_dir()
    embedded.root(config)
    assert not (folder / "removed").exists()
    assert len(made) == 2


def test_what_a_stopped_call_left_beside_packed_songs_is_removed(made):
    config = load_config("sets/set4.py")
    prepared = embedded.root(config)
    left = (
        prepared / "minislakh" / "part-0123" / "train" / "a.npz",
        prepared.parent / "removed" / "Track00002" / "mix.flac",
        prepared.parent / "tree" / "train" / "Track00001" / "mix.flac",
    )
    for file in left:
        file.parent.mkdir(parents=True)
        file.touch()
    assert embedded.root(config) == prepared
    names = sorted(path.name for path in prepared.parent.rglob("*") if path.is_dir())
    assert names == sorted(["prepared", "minislakh", VERSION, "tree", "test", "Track00001"])


def _with_leftovers(config):
    prepared = embedded.root(config)
    left = prepared.parent / "tree" / "train"
    left.mkdir()
    return prepared, left


def test_leftovers_that_cannot_be_removed_are_told_and_the_songs_used(made, monkeypatch, caplog):
    config = load_config("sets/set4.py")
    prepared, left = _with_leftovers(config)
    lock = prepared.parent / "lock"
    lock.unlink()
    lock.mkdir()  # cannot be opened, even by those who may write anywhere
    assert embedded.root(config) == prepared and left.is_dir()
    assert f"{prepared.parent}: songs that are read no more cannot be removed" in caplog.text


def test_songs_that_are_ready_wait_for_nobody(made, caplog):
    config = load_config("sets/set4.py")
    prepared, left = _with_leftovers(config)
    with (prepared.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert embedded.root(config) == prepared and left.is_dir()
    assert not caplog.records  # the other one removes them


def test_a_second_process_says_that_it_waits(made, capsys):
    config = load_config("sets/set4.py")
    folder = cache_folder() / embedded.songs(config)
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=embedded.root, args=(config,))
        second.start()
        text, end = "", time.monotonic() + 30
        while "waiting for it" not in text and time.monotonic() < end:
            time.sleep(0.01)
            text += capsys.readouterr().out
        assert made == []
    second.join()
    assert f"another process makes {folder}; waiting" in text
    assert [call[0] for call in made] == ["build", "minislakh"]


def test_those_of_an_earlier_version_are_used_as_they_are(made):
    config = load_config("sets/set4.py")
    prepared = embedded.root(config)
    made.clear()
    home = prepared / "minislakh"
    (home / VERSION / RECORDS_INFO).unlink()
    (home / VERSION).rename(home / FIRST_VERSION)
    (home / FIRST_VERSION / TABLES).touch()
    assert embedded.root(config) == prepared
    assert made == []


def test_the_soundfonts_of_the_embedded_data_are_known(made):
    config = load_config("sets/set4.py")
    assert embedded.soundfonts(config) == []
    tree = embedded.tree(config)
    (tree / SETTINGS_FILE).write_text('{"soundfonts": ["a.sf2", "b.sf3"]}')
    assert embedded.soundfonts(config) == ["a.sf2", "b.sf3"]
    assert embedded.soundfonts(_elsewhere(tree)) == []


def test_another_size_has_another_folder(made):
    default = embedded.root(load_config("sets/set4.py"))
    assert embedded.root(load_config("sets/set4.py", {"data.minislakh_songs": 3})) != default
    assert ("build", 3, 16000) in made


def test_another_rate_is_rendered_at_that_rate_into_a_folder_of_its_own(made):
    usual = load_config("sets/demo.py")
    other = load_config("sets/demo.py", {"audio.sample_rate_hz": 44100})
    roots = [embedded.root(config) for config in (usual, other)]
    assert made[2:] == [("build", embedded.DEFAULT_SONGS, 44100), ("minislakh", "tree", 44100)]
    assert roots[0].parent.name == f"minislakh-{SONGS_VERSION}-{embedded.DEFAULT_SONGS}"
    assert roots[0].parent != roots[1].parent
    assert embedded.tree(other) == roots[1].parent / "tree"


def test_other_songs_have_another_folder(made, tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mid").write_bytes(b"one")
    midi = {"data.minislakh_midi_dir": str(tmp_path / "songs"), "data.minislakh_midi_share": 0.5}
    font = tmp_path / "own.sf2"
    font.write_bytes(b"font")
    choices = (
        {},
        {"data.minislakh_sounds": "narrow"},
        {"data.minislakh_rest": 0.5},
        {"data.minislakh_soundfonts": (str(font),)},
        midi,
    )
    roots = [embedded.root(load_config("sets/set4.py", fields)) for fields in choices]
    font.write_bytes(b"another font")
    (tmp_path / "songs" / "a.mid").write_bytes(b"other")
    roots += [embedded.root(load_config("sets/set4.py", fields)) for fields in choices[3:]]
    assert len(set(roots)) == len(roots) == 7
    assert roots[1].parent.name == f"minislakh-{SONGS_VERSION}-{embedded.DEFAULT_SONGS}"
    assert embedded.root(load_config("sets/demo.py")) == roots[1]


def test_an_interrupted_preparation_is_taken_up_again(made, monkeypatch):
    whole = prepare.prepare

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embedded.root(load_config("sets/set4.py"))
    monkeypatch.setattr(prepare, "prepare", whole)
    assert embedded.root(load_config("sets/set4.py")).is_dir()
    assert [call[0] for call in made] == ["build", "build", "minislakh"]


def test_without_room_nothing_is_rendered(made, monkeypatch, capsys):
    fields = {"data.minislakh_songs": 100, "data.minislakh_rest": 1.0}
    config = load_config("sets/set4.py", fields)
    size = 7 * 100 * embedded.BYTES_PER_STEM
    free = SimpleNamespace(free=size + archive.RESERVE - 1)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: free)
    with pytest.raises(OSError, match=rf"MiniSlakh \({CACHE_VARIABLE} .*needs 1.5 GB, 1.5 GB are"):
        embedded.root(config)
    assert made == []
    free.free += 1
    embedded.root(config)
    assert "take up to 1.4 GB" in capsys.readouterr().out


@pytest.mark.parametrize(("sounds", "rest"), [("narrow", 0.0), ("wide", 1.0)])
def test_the_room_asked_for_is_what_songs_take_side_by_side(tmp_path, sounds, rest):
    """Rendered, converted and packed: measured on songs that are rendered, by their files and by
    what preparing them says that it needs."""
    tree = minislakh.build(tmp_path / "tree", num_songs=4, sounds=sounds, rest=rest)
    songs = scan_corpus("minislakh", tree, options={})
    training = [song for song in songs if song.split == "train"]
    needed = prepare.bytes_needed(training, tmp_path / "none", sample_rate_hz=16000)
    rendered = sum(file.stat().st_size for file in (tree / "train").rglob("*.flac"))
    assert len(training) == 4
    assert 0.7 < (needed + rendered) / embedded._bytes(4, rest, 16000) < 1.0


def test_the_room_of_a_few_songs_is_not_said_to_be_none(made, capsys):
    embedded.root(load_config("sets/demo.py", {"data.minislakh_songs": 2}))
    assert "take up to 0.1 GB" in capsys.readouterr().out


def test_what_is_rendered_already_needs_no_more_room(made, monkeypatch):
    config = load_config("sets/set4.py", {"data.minislakh_songs": 100})
    monkeypatch.setattr(embedded, "_make", lambda *_: None)
    folder = embedded.root(config).parent
    monkeypatch.undo()
    monkeypatch.setenv(CACHE_VARIABLE, str(folder.parent))
    (folder / "tree" / "train").mkdir(parents=True)
    (folder / "tree" / "mix.flac").write_bytes(bytes(1 << 20))
    asked = []
    monkeypatch.setattr(archive, "need_space", lambda _, size, purpose: asked.append(size))
    monkeypatch.setattr(minislakh, "build", lambda *_, **__: folder / "tree", raising=False)
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: None)
    embedded.root(config)
    assert asked == [5 * 100 * embedded.BYTES_PER_STEM - (1 << 20)]


def test_the_songs_of_other_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data\.root: the songs of the embedded MiniSlakh"):
        embedded.tree(_elsewhere(tmp_path))


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cerberus_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "cerberus_jax"
