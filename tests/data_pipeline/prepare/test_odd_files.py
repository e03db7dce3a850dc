"""Names that are no UTF-8 or very long, kinds of audio files, silent files beside sounding ones."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from data_pipeline import prepare
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.layout import REPORT
from data_pipeline.prepared.report import Report
from tests.data_pipeline.corpora.test_musdb import FOUR, make_song
from tests.tiny_slakh import make_track


def prepared(corpus, root, out, **options):
    return prepare.prepare(corpus, root, out=out, progress=False, **options)


def test_names_that_are_no_utf_8_and_names_of_240_characters(tmp_path, capsys):
    make_song(tmp_path / "raw/train/a", FOUR, seconds=0.5)
    names = [os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe8"), "x" * 239 + "1", "x" * 239 + "2"]
    names += [os.fsdecode(b"\xe9" * 240)]
    for name in names:
        shutil.copytree(tmp_path / "raw/train/a", tmp_path / "raw/train" / name)
    report = prepared("musdb18", tmp_path / "raw", tmp_path / "out", num_workers=2)
    assert report.num_tracks == {"train": 6}
    ids = Catalogue.load(tmp_path / "out").tables.track_ids.tolist()
    expected = {"a", "caf\\udce9", "caf\\udce8", *names[2:4], "\\udce9" * 240}
    assert set(ids) == expected and len(ids) == 6


def test_the_command_prints_what_it_left_out(tmp_path, capsys):
    make_song(tmp_path / "raw/train/a", FOUR, seconds=0.5)
    odd = tmp_path / "raw/train" / os.fsdecode(b"caf\xe9")
    shutil.copytree(tmp_path / "raw/train/a", odd)
    (odd / "drums.wav").write_bytes(b"no audio")
    (odd / "guitar.m4a").write_bytes(b"....ftypM4A ")
    arguments = [f"--root={tmp_path / 'raw'}", f"--out={tmp_path / 'out'}", "--num_workers=1"]
    assert prepare.main(["--corpus=musdb18", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "caf\\udce9 drums:" in shown and "stems skipped: 2" in shown
    assert "caf\\udce9 guitar: guitar.m4a: not a kind of audio that libsndfile reads" in shown


@pytest.mark.parametrize("suffix", [".ogg", ".oga", ".mp3", ".aiff", ".w64"])
def test_other_kinds_of_audio_files_are_stems_too(tmp_path, suffix):
    format = {".oga": "OGG"}.get(suffix, suffix[1:].upper())
    make_song(tmp_path / "raw/train/a", ("vocals", "bass"), seconds=0.5)
    for name in ("vocals", "bass"):
        path = tmp_path / f"raw/train/a/{name}.wav"
        samples, rate = soundfile.read(path)
        soundfile.write(path.with_suffix(suffix), samples, rate, format=format)
        path.unlink()
    report = prepared("musdb18", tmp_path / "raw", tmp_path / "out", num_workers=1)
    assert report.num_tracks == {"train": 1} and not report.skipped
    assert report.minutes["train"] == pytest.approx({"bass": 0.5 / 60, "vocals": 0.5 / 60}, rel=0.1)


def test_a_silent_file_beside_a_sounding_one_is_said_and_not_taken(tmp_path, caplog, capsys):
    track = tmp_path / "raw/train/Track00001"
    make_track(track, ("piano", "guitar", "bass"), seconds=2, suffix=".wav")
    write_audio(track / "stems/S00.flac", np.zeros(32000), sample_rate_hz=16000)
    (track / "stems/S01.flac").write_bytes(b"no audio")
    shutil.copy(track / "stems/S02.wav", track / "stems/S02.aiff")
    report = prepared("slakh2100", tmp_path / "raw", tmp_path / "out", num_workers=1)
    assert len(report.doubts) == 2
    assert report.doubts[0][:2] == ["Track00001", "S00"]
    assert "S00.flac is silent; S00.wav, which sounds, was taken" in report.doubts[0][2]
    assert "S01.flac cannot be read" in report.doubts[1][2]
    assert "S00.flac is silent" in caplog.text and "S00.flac is silent" in report.text()
    saved = Report.load(next((tmp_path / "out").rglob(REPORT)))
    assert saved.doubts == report.doubts
    t = Catalogue.load(tmp_path / "out").tables
    assert t.stem_ids.tolist() == ["S00", "S01", "S02"]
    loudest = [t.rms_db[a:b].max() for a, b in zip(t.rms_start[:-1], t.rms_start[1:], strict=True)]
    assert min(loudest) > -40


def test_silence_alone_stays_silence(tmp_path):
    track = tmp_path / "raw/train/Track00001"
    make_track(track, ("piano", "guitar"), seconds=2)
    for suffix in (".flac", ".wav"):
        write_audio(track / f"stems/S00{suffix}", np.zeros(32000), sample_rate_hz=16000)
    report = prepared("slakh2100", tmp_path / "raw", tmp_path / "out", num_workers=1)
    assert report.num_tracks == {"train": 1} and not report.doubts


def test_another_file_beside_it_makes_another_fingerprint(tmp_path):
    track = tmp_path / "raw/train/Track00001"
    make_track(track, ("piano",), seconds=2, suffix=".wav")
    codes = [prepared("slakh2100", tmp_path / "raw", "", check=True, num_workers=1).fingerprint]
    for level in (0.0, 0.1):
        write_audio(track / "stems/S00.flac", np.full(32000, level), sample_rate_hz=16000)
        report = prepared("slakh2100", tmp_path / "raw", "", check=True, num_workers=1)
        codes.append(report.fingerprint)
    assert len(set(codes)) == 3
