"""Which corpus a raw folder looks like, and the command that prepares it."""

from pathlib import Path

from data_pipeline.corpora.guess import guess_corpus, prepare_hint
from tests.tiny_slakh import make_tree


def test_by_what_the_folders_hold(tmp_path):
    assert guess_corpus(tmp_path) == "slakh2100"
    (tmp_path / "babyslakh_16k").mkdir()
    assert guess_corpus(tmp_path / "babyslakh_16k") == "babyslakh"
    (tmp_path / "AkPnBcht/MUS").mkdir(parents=True)
    assert guess_corpus(tmp_path) == "maps"
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation/x.jams").touch()
    assert guess_corpus(tmp_path) == "guitarset"


def test_trees_of_slakhs_shape(tmp_path):
    for name, extra in (("full", None), ("own", {"renderer": "minislakh"})):
        make_tree(tmp_path / name, {"train": 1}, stems=("piano",), seconds=0.2, extra=extra)
    assert guess_corpus(tmp_path / "full") == "slakh2100"
    assert guess_corpus(tmp_path / "own") == "minislakh"


def test_stems_and_tables(tmp_path):
    for path in ("hq/train/A/vocals.wav", "mp4/train/B.stem.mp4", "maestro/maestro-v3.0.0.csv"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    guesses = [guess_corpus(tmp_path / name) for name in ("hq", "mp4", "maestro")]
    assert guesses == ["musdb18", "musdb18", "maestro"]


def test_the_command(tmp_path):
    (tmp_path / "maestro-v3.0.0.csv").touch()
    command = f"--corpus=maestro --root={tmp_path} --out=OUT"
    assert prepare_hint(tmp_path, Path("OUT")).endswith(command)
    assert "--root=RAW_FOLDER" in prepare_hint(None, Path("OUT"))
