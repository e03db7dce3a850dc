"""Odd songs, places and second calls: one song fails alone, and no result is lost or mixed."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from experiments.separate import separate
from experiments.songs import files
from experiments.songs import folders as module
from experiments.songs.find import find_songs
from experiments.songs.folders import RECORD
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
    assert names_in(folder) == [RECORD, "drums.flac", "notes", NOTES_FILE, MIDI_FILE]
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
    """Markup, and bytes that are no UTF-8, which printing and HTML cannot hold."""
    names = ("<!--<script>", os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe8"))
    songs = [song(tmp_path / f"{name}.wav") for name in ("<!--<script>",)]
    songs += [Path(shutil.copy(songs[0], tmp_path / f"{name}.wav")) for name in names[1:]]
    separate(songs, predictor=HalfAndHalf(), out=tmp_path / "out")
    shown = capsys.readouterr()
    assert "caf\\udce9.wav" in shown.out and "failed:" not in shown.err
    assert names_in(tmp_path / "out") == sorted(names)
    for name in names:
        folder = tmp_path / "out" / name
        assert soundfile.info(os.fsencode(folder / "piano.wav")).frames == len(
            soundfile.read(songs[0])[0]
        )
        assert "<!--<script" not in (folder / "index.html").read_text()
    assert "caf\\udce9" in (tmp_path / "out" / names[1] / "index.html").read_text()


def test_a_folder_gives_what_can_be_read_and_names_the_rest(tmp_path, caplog, capsys):
    folder = tmp_path / "songs"
    (folder / "album").mkdir(parents=True)
    kinds = {".oga": "OGG", ".aifc": "AIFF", ".snd": "AU", ".voc": "VOC", "": "WAV", ".MP3": "MP3"}
    samples = 0.1 * np.random.default_rng(0).standard_normal(16000)
    for suffix, format in kinds.items():
        soundfile.write(folder / f"a{suffix}", samples, 16000, format=format)
    (folder / "b.m4a").write_bytes(bytes([0, 0, 0, 32]) + b"ftypM4A " + bytes(2000))
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(2000))
    (folder / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    (folder / ".hidden").write_bytes(b"")
    separate([folder], predictor=HalfAndHalf(), out=tmp_path / "out")
    assert names_in(tmp_path / "out") == sorted(f"a{suffix}" for suffix in kinds)
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(said) == 3
    assert "album: a folder" in said[0]
    assert "b.m4a, cover.jpg: not a kind of audio that libsndfile reads" in said[1]
    assert "gone.wav: a link to nothing" in said[2]


def test_a_folder_without_songs_says_what_it_holds(tmp_path):
    (tmp_path / "b.m4a").write_bytes(b"....ftypM4A ")
    with pytest.raises(ValueError, match=r"no audio files.*left out b\.m4a: not a kind of audio"):
        find_songs([tmp_path])


def test_names_of_240_characters(tmp_path):
    """With the folder's name before them, or whatever else tells them apart, they pass the limit of
    255 bytes."""
    longest, folders = "x" * 239, ("first" * 8, "second" * 8)
    songs = []
    for folder in folders:
        (tmp_path / folder).mkdir()
        songs += [song(tmp_path / folder / f"{longest}{letter}.wav") for letter in "ab"]
    songs.append(Path(shutil.copy(songs[0], tmp_path / folders[0] / f"{longest}a.flac")))
    written = separate(songs, predictor=HalfAndHalf(), out=tmp_path / "out")
    names = [folder.name for folder in written]
    assert len(set(names)) == 5 and max(len(os.fsencode(name)) for name in names) <= 255
    for folder in written:
        assert {"piano.wav", "drums.wav", NOTES_FILE, MIDI_FILE} <= set(names_in(folder))


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


def test_a_network_of_instruments_that_are_none_here_is_refused(tmp_path):
    class Other(HalfAndHalf):
        instruments = ("piano", "zither", "kazoo")

    message = "instruments that are none here: kazoo, zither; known: piano, guitar, bass"
    with pytest.raises(ValueError, match=message):
        separate([song(tmp_path / "a.wav")], predictor=Other(), out=tmp_path / "out")
    assert names_in(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("is_at_once", [True, False])
def test_a_song_that_fails_while_it_is_read_fails_alone(
    tmp_path, monkeypatch, capsys, code, is_at_once
):
    """Of what is written, the same errors would end the command."""
    read_blocks, audio_info = files.read_blocks, files.audio_info

    def not_even_its_header(path):
        if is_at_once and path.name == "a.wav":
            raise OSError(code, os.strerror(code), "somewhere")
        return audio_info(path)

    def failing(path):
        yield from read_blocks(path, block_seconds=0.5)
        if path.name == "a.wav":
            raise OSError(code, os.strerror(code), "somewhere")

    monkeypatch.setattr(files, "read_blocks", failing)
    monkeypatch.setattr(files, "audio_info", not_even_its_header)
    songs = [song(tmp_path / "a.wav"), song(tmp_path / "b.wav")]
    with pytest.raises(ValueError, match=r"1 of 2 songs failed .*a\.wav"):
        separate(songs, predictor=HalfAndHalf(), out=tmp_path / "out")
    failed = f"failed: {songs[0]}: cannot be read ({os.strerror(code)})"
    assert failed in capsys.readouterr().err
    assert names_in(tmp_path / "out") == ["b"]
