"""A song's folder: other things in it are never replaced, and those beside the song are named."""

import pytest

from data_pipeline.io.audio import read_audio
from experiments.separate import separate
from experiments.songs.folders import check_place, listed
from experiments.songs.options import SongOptions
from tests.experiments.separate.test_separate import HalfAndHalf, song

NAMES = HalfAndHalf.instruments


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_things_is_never_replaced(tmp_path, capsys, overwrite):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    (out / "a" / "takes").mkdir(parents=True)
    (out / "a" / "takes" / "first.txt").write_text("mine")
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=out, overwrite=overwrite)
    message = capsys.readouterr().err
    assert "holds other things (takes/first.txt) and nothing that was separated" in message
    assert [file.name for file in (out / "a").rglob("*")] == ["takes", "first.txt"]


def test_what_stays_beside_new_files_is_named(tmp_path, capsys):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    options = SongOptions(page=False)
    separate([path], predictor=HalfAndHalf(), out=out, options=options)
    (out / "a" / "lyrics.txt").write_text("mine")
    assert "kept" not in capsys.readouterr().out
    mp3 = SongOptions(page=False, format="mp3")
    separate([path], predictor=HalfAndHalf(), out=out, overwrite=True, options=mp3)
    assert f"{out / 'a'}: kept lyrics.txt, not of this command" in capsys.readouterr().out
    assert {file.suffix for file in (out / "a").iterdir()} == {".txt", ".mp3", ".mid", ".csv"}
    assert read_audio(out / "a" / "piano.mp3")[0].shape == (2, 48000)


def test_an_empty_folder_and_a_file(tmp_path):
    (tmp_path / "empty").mkdir()
    assert check_place(tmp_path / "empty", NAMES, overwrite=True) == []
    assert check_place(tmp_path / "none", NAMES, overwrite=False) == []
    (tmp_path / "file").touch()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="file is a file; move it"):
            check_place(tmp_path / "file", NAMES, overwrite=overwrite)
    with pytest.raises(ValueError, match="exists already; --overwrite replaces it"):
        check_place(tmp_path / "empty", NAMES, overwrite=False)


def test_long_lists_are_cut():
    assert listed([*"abcdefg"]) == "a, b, c, d, e and 2 more"
    assert listed([*"abcde"]) == "a, b, c, d, e"
