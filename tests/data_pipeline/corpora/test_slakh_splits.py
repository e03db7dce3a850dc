"""The published splits: their sizes and moves as the authors give them, and no number twice."""

from collections import Counter

import pytest

from data_pipeline.corpora import slakh, slakh_splits
from tests.tiny_slakh import make_track

NUMBERS = range(1, slakh_splits.NUM_TRACKS + 1)


def test_sizes_are_those_of_the_publication():
    def sizes(rule):
        return Counter(map(rule, NUMBERS))

    whole = {"train": 1500, "validation": 375, "test": 225}
    assert sizes(slakh_splits.orig) == sizes(slakh_splits.split2) == whole
    published = {"train": 1289, "validation": 270, "test": 151}
    assert sizes(slakh_splits.redux) == {**published, "omitted": 390}


def test_moves():
    rules = (slakh_splits.orig, slakh_splits.redux, slakh_splits.split2)
    table = [(n, *(rule(n) for rule in rules)) for n in NUMBERS]
    omitted = Counter(orig for _, orig, redux, _ in table if redux == "omitted")
    assert omitted == {"train": 211, "validation": 105, "test": 74}
    moves = Counter((orig, split2) for _, orig, _, split2 in table if orig != split2)
    assert sum(moves.values()) == 328
    assert moves["validation", "train"] == 94  # those with a twin in training
    assert moves["test", "train"] == 57
    # What moves towards training has a twin there, so redux leaves it out; what takes its place
    # in the other split has none.
    order = ("train", "validation", "test")
    for _, orig, redux, split2 in table:
        if orig != split2:
            assert (redux == "omitted") == (order.index(split2) < order.index(orig))


def test_lists_are_sorted_and_hold_each_number_once():
    texts = [slakh_splits._REDUX_OMITTED, *slakh_splits._SPLIT2_MOVED_TO.values()]
    for text in texts:
        numbers = [int(number) for number in text.split()]
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ("", ["train", "omitted", "train", "mine"]),
        ("redux", ["train", "omitted", "train", "mine"]),
        ("orig", ["train", "train", "train", "mine"]),
        ("split2", ["test", "train", "train", "mine"]),
        ("folders", ["train", "omitted", "test", "mine"]),
    ],
)
def test_a_tree_in_folders(tmp_path, splits, expected, caplog):
    places = ("train/Track00003", "omitted/Track00049", "test/Track00004", "mine/Track00005")
    for place in places:
        make_track(tmp_path / place, ("piano",), seconds=0.2)
    split_of = {track.path: track.split for track in slakh.scan(tmp_path, splits=splits)}
    assert [split_of[tmp_path / place] for place in places] == expected
    assert ("--splits=folders keeps the folders" in caplog.text) == (splits != "folders")


def test_unknown_splits(tmp_path):
    with pytest.raises(ValueError, match=r"--splits=best: unknown; expected one of redux, orig"):
        slakh.scan(tmp_path, splits="best")


def test_folders_of_minislakh_and_numbers_of_babyslakh(tmp_path):
    own = tmp_path / "own/validation/Track00001"
    make_track(own, ("piano",), seconds=0.2, extra={"renderer": "minislakh"})
    (track,) = slakh.scan(tmp_path / "own", splits="redux")
    assert track.split == "validation"
    for number in (3, 15):
        make_track(tmp_path / f"baby/Track{number:05d}", ("piano",), seconds=0.2)
    baby = tmp_path / "baby"
    splits = [track.split for track in slakh.scan(baby, corpus="babyslakh")]
    assert splits == ["train", "validation"]
    splits = [t.split for t in slakh.scan(baby, corpus="babyslakh", splits="split2")]
    assert splits == ["test", "train"]
