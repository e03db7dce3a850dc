"""Odd songs, places and second calls: one song fails alone, and no result is lost or mixed."""

import errno
import os
import shutil

import numpy as np
import pytest
import soundfile

from experiments.separate import separate
from experiments.songs import files as module
from experiments.songs.notes import MIDI_FILE, NOTES_FILE
from experiments.songs.options import SongOptions
from tests.experiments.separate.test_separate import HalfAndHalf, names_in, song


def test_a_second_call_leaves_nothing_of_the_first(tmp_path):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    options = SongOptions(other=True, minus=("piano",))
    (folder,) = separate([path], predictor=HalfAndHalf(), out=out, options=options)
    assert {"other.wav", "minus_piano.wav", "page"} <= set(names_in(folder))
    (folder / "notes").mkdir()
    (folder / "notes/mine.txt").write_text("mine")
    options = SongOptions(format="flac", only=("drums",), page=False)
    separate([path], predictor=HalfAndHalf(), out=out, options=options, overwrite=True)
    assert names_in(folder) == ["drums.flac", "notes", NOTES_FILE, MIDI_FILE]
    assert (folder / "notes/mine.txt").read_text() == "mine"
    assert names_in(out) == ["a"]


def test_the_old_result_stays_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    (folder,) = separate([path], predictor=HalfAndHalf(), out=out)
    before = (folder / "piano.wav").read_bytes()
    rename = module.os.rename

    def fail(source, target):
        if target == folder and source.name != "before":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", fail)
    with pytest.raises(OSError, match="cannot write the files of a song"):
        separate([path], predictor=HalfAndHalf(), out=out, overwrite=True)
    assert (folder / "piano.wav").read_bytes() == before
    assert names_in(out) == ["a"]


def test_a_file_in_the_place_of_a_folder_fails_that_song_alone(tmp_path, capsys):
    songs = [song(tmp_path / "a.wav"), song(tmp_path / "b.wav")]
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("a file")
    with pytest.raises(ValueError, match="1 of 2 songs failed"):
        separate(songs, predictor=HalfAndHalf(), out=out, overwrite=True)
    assert f"{out / 'a'} is a file" in capsys.readouterr().err
    assert names_in(out) == ["a", "b"] and (out / "a").read_text() == "a file"


def test_odd_file_names(tmp_path, capsys):
    """libsndfile's binding opens no file whose name is not UTF-8: that song fails, alone."""
    good, bad = (tmp_path / name for name in ("<!--<script>.wav", os.fsdecode(b"caf\xe9.wav")))
    shutil.copy(song(good), bad)
    with pytest.raises(ValueError, match="1 of 2 songs failed"):
        separate([bad, good], predictor=HalfAndHalf(), out=tmp_path / "out")
    shown = capsys.readouterr()
    assert "caf?.wav" in shown.out and "failed:" in shown.err
    assert names_in(tmp_path / "out") == ["<!--<script>"]
    assert "<!--<script" not in (tmp_path / "out" / "<!--<script>" / "index.html").read_text()


def test_references_that_are_nowhere(tmp_path):
    path = song(tmp_path / "a.wav")
    with pytest.raises(NotADirectoryError, match=r"--references=.*nowhere: no such folder"):
        separate(
            [path], predictor=HalfAndHalf(), out=tmp_path / "out", references=tmp_path / "nowhere"
        )
    assert not (tmp_path / "out").exists()


def test_a_song_that_becomes_nan(tmp_path, capsys):
    path = tmp_path / "a.wav"
    waveform = np.zeros((200_000, 1), np.float32)
    waveform[-1] = np.nan
    soundfile.write(path, waveform, 16000, subtype="FLOAT")
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=tmp_path / "out")
    assert "a.wav" in capsys.readouterr().err
    assert names_in(tmp_path / "out") == []


def test_an_interrupt_between_two_renames_gives_the_old_result_back(tmp_path, monkeypatch):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    (folder,) = separate([path], predictor=HalfAndHalf(), out=out)
    before = (folder / "piano.wav").read_bytes()
    rename = module.os.rename

    def interrupted(source, target):
        rename(source, target)
        if target.name == "before":
            raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        separate([path], predictor=HalfAndHalf(), out=out, overwrite=True)
    assert (folder / "piano.wav").read_bytes() == before
    assert names_in(out) == ["a"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: 99 GB")])
def test_a_song_too_large_for_the_memory_fails_alone(tmp_path, capsys, error):
    class Large(HalfAndHalf):
        def predict_stream(self, blocks, sample_rate_hz, db_reference=None):
            if sample_rate_hz == 44100:
                raise error
            yield from super().predict_stream(blocks, sample_rate_hz, db_reference)

    songs = [song(tmp_path / "a.wav", rate=44100), song(tmp_path / "b.wav")]
    with pytest.raises(ValueError, match="1 of 2 songs failed"):
        separate(songs, predictor=Large(), out=tmp_path / "out")
    assert "not enough memory; without --exact" in capsys.readouterr().err
    assert names_in(tmp_path / "out") == ["b"]
