"""One track to one file: RMS, what is left out and why, broken files, light workers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.corpora import guitarset, slakh
from data_pipeline.corpora.track import read_midi_notes
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared import convert, stem_sound
from tests import ROOT
from tests.tiny_slakh import make_tree


def test_rms_is_that_of_each_piece():
    rng = np.random.default_rng(0)
    pcm = (rng.normal(size=(2, 3500)) * 3000).astype(np.int16)
    pcm[1, 1600:] = 0
    rms_db = convert.rms_db_of(pcm, 1600)
    assert rms_db.shape == (2, 2)
    rms = np.sqrt(np.mean((pcm[0, 1600:3200] / 32768.0) ** 2))
    np.testing.assert_allclose(rms_db[0, 1], 20 * np.log10(rms), atol=0.05)
    assert rms_db[1, 1] == -200


def test_workers_import_no_tensorflow():
    module = "data_pipeline.prepared.convert"
    code = f"import sys, {module}; print({{'tensorflow', 'jax'}} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.strip() == "set()", out.stderr


def test_a_file_holds_all_and_check_holds_no_audio(tmp_path):
    sounding = make_tree(tmp_path / "raw", {"train": 1}, stems=("piano", "no_class"), seconds=1)
    (track,) = slakh.scan(tmp_path / "raw")
    for check in (False, True):
        target = tmp_path / f"{check}.npz"
        convert.convert(convert.Job(track, target, 16000, check))
        found = convert.read_converted(target, with_pcm=True)
        assert ("pcm" in found) != check
        assert [stem["id"] for stem in found["meta"]["stems"]] == ["S00"]
        assert found["meta"]["skipped"] == [["S01", "other instrument"]]
        notes = sounding["Track00001"]["S00"]
        np.testing.assert_array_equal(found["pitches"], notes.pitches)
    assert "pcm" not in convert.read_converted(tmp_path / "False.npz")


def test_shorter_stems_are_filled_up_and_late_notes_dropped(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano", "bass"), seconds=2)
    track_folder = tmp_path / "raw/train/Track00001"
    for name, seconds in (("S00", 1.0), ("S01", 0.5)):
        tone = np.full(round(seconds * 16000), 0.25)
        write_audio(track_folder / f"stems/{name}.flac", tone, sample_rate_hz=16000)
    (track,) = slakh.scan(tmp_path / "raw")
    convert.convert(convert.Job(track, tmp_path / "x.npz", 16000))
    found = convert.read_converted(tmp_path / "x.npz", with_pcm=True)
    assert found["pcm"].shape == (2, 16000)
    assert not found["pcm"][1, 8000:].any()
    for stem, end in enumerate((1.0, 0.5)):
        own = found["intervals"][found["note_stems"] == stem]
        assert len(own) and own.max() <= end and own[:, 0].max() < end


def test_a_stem_without_samples_is_left_out(tmp_path):
    stems = {"stems": ("piano", "bass"), "suffix": ".wav"}
    make_tree(tmp_path / "raw", {"train": 1}, seconds=0.5, **stems)
    empty = tmp_path / "raw/train/Track00001/stems/S00.wav"
    write_audio(empty, np.zeros(0), sample_rate_hz=16000)
    (track,) = slakh.scan(tmp_path / "raw")
    convert.convert(convert.Job(track, tmp_path / "x.npz", 16000))
    meta = convert.read_converted(tmp_path / "x.npz")["meta"]
    assert [stem["id"] for stem in meta["stems"]] == ["S01"]
    assert meta["unreadable"] == [["S00", f"{empty}: no samples"]]


def test_not_a_converted_track(tmp_path):
    for content in (b"PK no", b""):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.npz: not a converted track"):
            convert.read_converted(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", pcm=np.zeros(3))
    with pytest.raises(ValueError, match=r"x\.npz: not a converted track"):
        convert.read_converted(tmp_path / "x.npz")


def test_a_passing_error_is_no_reason_to_leave_a_stem_out(tmp_path, monkeypatch):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=0.2)
    (track,) = slakh.scan(tmp_path / "raw")

    def fail(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(stem_sound, "read_mono", fail)
    with pytest.raises(OSError, match="Too many open files"):
        convert.convert(convert.Job(track, tmp_path / "x.npz", 16000))
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("error", [RecursionError("too deep"), KeyError("notes"), OverflowError()])
def test_a_reader_of_notes_that_fails_loses_its_stem_alone(tmp_path, error):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano", "bass"), seconds=0.5)
    (track,) = slakh.scan(tmp_path / "raw")

    def read_notes(stem):
        if stem.id == "S00":
            raise error
        return read_midi_notes(stem)

    convert.convert(convert.Job(track, tmp_path / "x.npz", 16000, read_notes=read_notes))
    meta = convert.read_converted(tmp_path / "x.npz")["meta"]
    assert [stem["id"] for stem in meta["stems"]] == ["S01"]
    ((lost, reason),) = meta["unreadable"]
    assert lost == "S00" and "S00.mid: cannot be read" in reason
    assert type(error).__name__ in reason


def test_notes_before_the_beginning_of_the_audio(tmp_path):
    path = tmp_path / "x.jams"
    data = [{"time": t, "duration": 0.5, "value": 60, "confidence": None} for t in (0.1, 0.8, 2)]
    notes = {"namespace": "note_midi", "data": data}
    path.write_text(json.dumps({"annotations": [notes]}))
    stem = slakh.Stem("mic", "guitar", 25, False, tmp_path, path, time_shift=-1.0)
    found = convert.read_labels(stem, guitarset.read_notes)
    np.testing.assert_allclose(found.intervals, [[0.0, 0.3], [1.0, 1.5]])


def test_the_note_that_sounds_stays_and_not_the_one_before_the_audio():
    early = Notes(np.array([[0, 0.3], [0.1, 1.0]]), np.array([60, 50]), np.array([80, 90]))
    stem = slakh.Stem("mic", "guitar", 25, False, Path("x"), Path("y"), time_shift=-0.5)
    found = convert.read_labels(stem, lambda _: early)
    assert (found.pitches.tolist(), found.velocities.tolist()) == ([50], [90])
    np.testing.assert_allclose(found.intervals, [[0.0, 0.5]])


def test_a_failing_pool_says_what_to_do(tmp_path, capfd):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano",), seconds=0.2)
    tracks = slakh.scan(tmp_path / "raw")
    (tmp_path / "file").touch()
    jobs = [convert.Job(track, tmp_path / "file" / track.id, 16000) for track in tracks]
    with pytest.raises(OSError, match=r"file.*the same command goes on from there"):
        convert.convert_all(jobs, num_workers=2, progress=False)
    assert "Traceback" not in capfd.readouterr().err
