"""Trees put together of links: what they hold is found, once, in spite of loops."""

import pytest

from data_pipeline.corpora.registry import CORPORA
from tests.data_pipeline.corpora.test_guitarset import _jams
from tests.data_pipeline.corpora.test_maestro import make_recording, write_table
from tests.data_pipeline.corpora.test_maps import _piece
from tests.data_pipeline.corpora.test_musdb import make_song
from tests.tiny_slakh import make_track


def guitarset(root):
    for folder, name in (("annotation", "00_a.jams"), ("audio", "00_a_mic.wav")):
        (root / folder).mkdir(parents=True)
        (root / folder / name).write_text(_jams([(0.0, 1.0, 60)]))
    return ["annotation", "audio"], [("train", "00_a")]


def maps(root):
    _piece(root, "AkPnBcht", "one")
    _piece(root, "ENSTDkCl", "two")
    return ["AkPnBcht", "ENSTDkCl"], [
        ("test", "MAPS_MUS-two_ENSTDkCl"),
        ("train", "MAPS_MUS-one_AkPnBcht"),
    ]


def slakh(root):
    make_track(root / "train/Track00001", ("piano",), seconds=1)
    make_track(root / "test/Track01895", ("piano",), seconds=1)
    return ["train", "test"], [("test", "Track01895"), ("train", "Track00001")]


def musdb(root):
    make_song(root / "train/A", seconds=0.1)
    make_song(root / "test/B", seconds=0.1)
    return ["train", "test"], [("test", "B"), ("train", "A")]


def maestro(root):
    make_recording(root / "maestro/2004/a", 60)
    write_table(root / "maestro/maestro-v3.0.0.csv", [("train", "2004/a")])
    return ["maestro"], [("train", "2004_a")]


@pytest.mark.parametrize(
    ("corpus", "make"),
    [
        ("guitarset", guitarset),
        ("maps", maps),
        ("slakh2100", slakh),
        ("musdb18", musdb),
        ("maestro", maestro),
    ],
)
def test_folders_that_are_links(tmp_path, corpus, make):
    folders, expected = make(tmp_path / "elsewhere")
    root = tmp_path / "root"
    root.mkdir()
    for folder in folders:
        (root / folder).symlink_to(tmp_path / "elsewhere" / folder)
    (root / "loop").symlink_to(root)
    (tmp_path / "elsewhere" / folders[0] / "loop").symlink_to(root)
    (tmp_path / "link").symlink_to(root)
    for start in (root, tmp_path / "link", tmp_path / "elsewhere"):
        tracks = CORPORA[corpus].scan(start)
        assert [(track.split, track.id) for track in tracks] == expected
        assert all(len(track.stems) >= 1 for track in tracks)
