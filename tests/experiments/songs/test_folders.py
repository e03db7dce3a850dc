"""A song's folder: other things in it are never replaced, and those beside the song are named."""

import pytest

from data_pipeline.io.audio import read_audio
from experiments.separate import separate
from experiments.songs.folders import RECORD, check_place, listed, put_in_place
from experiments.songs.options import SongOptions
from tests.experiments.separate.test_separate import HalfAndHalf, song


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_things_is_never_replaced(tmp_path, capsys, overwrite):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    (out / "a" / "takes").mkdir(parents=True)
    (out / "a" / "takes" / "first.txt").write_text("mine")
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=out, overwrite=overwrite)
    message = capsys.readouterr().err
    assert "holds other things (takes/first.txt) and no .separated, the list of what" in message
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
    assert {file.suffix for file in (out / "a").glob("[!.]*")} == {".txt", ".mp3", ".mid", ".csv"}
    assert read_audio(out / "a" / "piano.mp3")[0].shape == (2, 48000)


def test_an_empty_folder_and_a_file(tmp_path):
    (tmp_path / "empty").mkdir()
    assert check_place(tmp_path / "empty", (), overwrite=True) == []
    assert check_place(tmp_path / "none", (), overwrite=False) == []
    (tmp_path / "file").touch()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="file is a file; move it"):
            check_place(tmp_path / "file", (), overwrite=overwrite)
    with pytest.raises(ValueError, match="exists already; --overwrite replaces it"):
        check_place(tmp_path / "empty", (), overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_true_stems_is_never_replaced(tmp_path, capsys, overwrite):
    """They are called as ours are, and so may the song itself be."""
    folder = tmp_path / "piano"
    folder.mkdir()
    (folder / "drums.wav").write_text("mine")
    path = song(folder / "piano.wav")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=tmp_path, overwrite=overwrite)
    assert "holds other things (drums.wav, piano.wav) and no .separated" in capsys.readouterr().err
    assert path.read_bytes() == before and (folder / "drums.wav").read_text() == "mine"


def test_a_file_that_has_the_name_of_a_new_one_is_not_replaced(tmp_path, capsys):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    drums = SongOptions(page=False, only=("drums",))
    separate([path], predictor=HalfAndHalf(), out=out, options=drums)
    (out / "a" / "piano.wav").write_text("mine")
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=out, overwrite=True)
    assert f"{out / 'a' / 'piano.wav'} is not of an earlier call" in capsys.readouterr().err
    assert (out / "a" / "piano.wav").read_text() == "mine"
    separate([path], predictor=HalfAndHalf(), out=out, options=drums, overwrite=True)
    assert (out / "a" / "piano.wav").read_text() == "mine"
    with pytest.raises(ValueError, match=r"piano\.wav is not of an earlier call"):
        put_in_place(out / "a", _new_folder(tmp_path, "piano.wav"))
    assert (out / "a" / "piano.wav").read_text() == "mine"


def test_a_stem_does_not_replace_itself(tmp_path, capsys):
    out = tmp_path / "out"
    (folder,) = separate([song(tmp_path / "piano.wav")], predictor=HalfAndHalf(), out=out)
    before = (folder / "piano.wav").read_bytes()
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([folder / "piano.wav"], predictor=HalfAndHalf(), out=out, overwrite=True)
    assert "piano.wav lies in the folder that it would replace" in capsys.readouterr().err
    assert (folder / "piano.wav").read_bytes() == before


def test_what_another_network_wrote_is_replaced_and_links_and_empty_folders_stay(tmp_path, capsys):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    (folder,) = separate([path], predictor=HalfAndHalf(), out=out)
    (folder / "piano.wav").rename(folder / "rest.wav")
    record = folder / RECORD
    record.write_text(record.read_text().replace("piano.wav", "rest.wav"))
    (tmp_path / "takes").mkdir()
    (folder / "link").symlink_to(tmp_path / "takes")
    (folder / "nowhere").symlink_to(tmp_path / "none")
    (folder / "sketches").mkdir()
    separate([path], predictor=HalfAndHalf(), out=out, overwrite=True)
    assert "kept link, nowhere, sketches, not of this command" in capsys.readouterr().out
    assert (folder / "piano.wav").exists() and not (folder / "rest.wav").exists()
    assert (folder / "link").readlink() == tmp_path / "takes"
    assert (folder / "nowhere").is_symlink() and list((folder / "sketches").iterdir()) == []


def _new_folder(tmp_path, name):
    folder = tmp_path / "new" / "a"
    folder.mkdir(parents=True)
    (folder / name).write_text("new")
    return folder


def test_long_lists_are_cut():
    assert listed([*"abcdefg"]) == "a, b, c, d, e and 2 more"
    assert listed([*"abcde"]) == "a, b, c, d, e"
