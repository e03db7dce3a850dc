"""A song that two corpora share is in one split, or the mixture is refused."""

import shutil

import numpy as np
import pytest
import yaml

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import REPORT, VERSION
from data_pipeline.prepared.same_songs import Song, check_splits, songs_of_tables
from tests.tiny_slakh import make_track

FIVE = ("piano", "guitar", "bass", "drums", "strings")
NAMES = ("Track00001", "Track00015", "Track00018")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Slakh2100 in folders, and its tracks again as BabySlakh has them: flat, with other audio."""
    root = tmp_path_factory.mktemp("trees")
    for number, name in enumerate(NAMES):
        stems = FIVE if number else ("piano", "drums")
        for tree, seed in (("slakh", number), ("baby", number)):
            folder = root / tree / ("train" if tree == "slakh" else "") / name
            make_track(folder, stems, seed=seed, rate=16000 if tree == "slakh" else 8000)
    return root


def prepared(corpus, root, out, **options):
    return prepare.prepare(corpus, root, out=out, num_workers=1, progress=False, **options)


def splits_of(root) -> dict[tuple[str, str], str]:
    """The split by corpus and track."""
    catalogue = Catalogue.load(root)
    tables = catalogue.tables
    return {
        (catalogue.corpora[corpus], track): split
        for corpus, track, split in zip(
            tables.track_corpora.tolist(),
            tables.track_ids.tolist(),
            tables.track_splits.tolist(),
            strict=True,
        )
    }


def test_the_same_notes_in_other_splits_are_refused_and_named(trees, tmp_path):
    out = tmp_path / "out"
    prepared("slakh2100", trees / "slakh", out)
    with pytest.raises(ValueError) as caught:
        prepared("babyslakh", trees / "baby", out)
    message = str(caught.value)
    assert "slakh2100 train/Track00018 and babyslakh test/Track00018 are the same" in message
    assert "1 more such pair" in message and "--splits=redux" in message
    prepared("babyslakh", trees / "baby", out, splits="redux")
    splits = splits_of(out)
    assert len(splits) == 6 and set(splits.values()) == {"train"}


def test_in_the_other_order_too(trees, tmp_path):
    prepared("babyslakh", trees / "baby", tmp_path)
    same = "babyslakh validation/Track00015 and slakh2100 train/Track00015 are the same"
    with pytest.raises(ValueError, match=same):
        prepared("slakh2100", trees / "slakh", tmp_path)


def test_what_an_earlier_version_has_mixed_is_refused_when_it_is_loaded(trees, tmp_path):
    """Its reports name no songs; the notes tell."""
    for corpus, tree in (("babyslakh", "baby"), ("slakh2100", "slakh")):
        prepared(corpus, trees / tree, tmp_path / corpus)
        shutil.copytree(tmp_path / corpus / corpus, tmp_path / "both" / corpus)
        (tmp_path / "both" / corpus / VERSION / REPORT).unlink()
    same = "babyslakh validation/Track00015 and slakh2100 train/Track00015 are the same"
    with pytest.raises(ValueError, match=same):
        Catalogue.load(tmp_path / "both")


def test_a_uuid_tells_before_anything_is_converted(trees, tmp_path, monkeypatch):
    """Other notes, other names, one UUID."""
    make_track(tmp_path / "a/train/Track00003", FIVE, seed=7, extra={"UUID": "ab" * 16})
    make_track(tmp_path / "b/test/Other", FIVE, seed=8, extra={"UUID": "ab" * 16})
    prepared("slakh2100", tmp_path / "a", tmp_path / "out")
    monkeypatch.setattr(prepare, "convert_all", None)
    with pytest.raises(ValueError, match="slakh2100 train/Track00003 and minislakh test/Other"):
        prepared("minislakh", tmp_path / "b", tmp_path / "out")


def test_other_songs_mix(trees, tmp_path):
    make_track(tmp_path / "other/test/Track00001", FIVE, seed=9)
    prepared("slakh2100", trees / "slakh", tmp_path / "out")
    prepared("minislakh", tmp_path / "other", tmp_path / "out")
    assert len(splits_of(tmp_path / "out")) == 4


def song(corpus, split, *stems, uuid=""):
    return Song(corpus, split, "song", uuid, frozenset(stems))


@pytest.mark.parametrize(
    ("one", "other", "is_refused"),
    [
        (song("a", "train", 1, 2, 3), song("b", "test", 1, 2), True),
        (song("a", "train", 1, 2, 3), song("b", "train", 1, 2), False),
        (song("a", "omitted", 1, 2, 3), song("b", "test", 1, 2), False),
        (song("a", "train", 1, 2), song("b", "test", 1, 3), False),  # a loop that many songs have
        (song("a", "train"), song("b", "test"), False),
        (song("a", "train", uuid="x"), song("b", "test", 4, uuid="x"), True),
        (song("a", "train", 4, uuid="x"), song("b", "test", 5, uuid="y"), False),
    ],
)
def test_what_counts_as_the_same_song(one, other, is_refused):
    if is_refused:
        with pytest.raises(ValueError, match=r"a train/song and b test/song.*; this helps"):
            check_splits([[one], [other]], "this helps")
    else:
        check_splits([[one], [other]], "this helps")


def test_corrected_labels_are_the_same_notes(trees, tmp_path):
    prepared("slakh2100", trees / "slakh", tmp_path / "a")
    prepared("slakh2100", trees / "slakh", tmp_path / "b", bass_octave_correction=False)
    tables = [Catalogue.load(tmp_path / name).tables for name in "ab"]
    songs = [songs_of_tables("slakh2100", own) for own in tables]
    assert not np.array_equal(tables[0].pitches, tables[1].pitches)
    assert songs[0] == songs[1] and [len(own.stems) for own in songs[0]] == [2, 5, 5]


def test_the_uuid_is_in_the_report_unless_it_is_the_name_of_the_folder(tmp_path):
    make_track(tmp_path / "tree/train/Track00001", ("piano",), extra={"UUID": "ab" * 16})
    make_track(tmp_path / "tree/train/Track00002", ("piano",), seed=1)
    metadata = yaml.safe_load((tmp_path / "tree/train/Track00002/metadata.yaml").read_text())
    assert metadata["UUID"] == "Track00002"
    report = prepared("slakh2100", tmp_path / "tree", tmp_path / "out")
    assert report.uuids == [["train", "Track00001", "ab" * 16]]
