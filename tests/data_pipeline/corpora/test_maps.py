"""MAPS: splits without overlapping pieces, text and MIDI labels, the pedal, bad files."""

import mido
import numpy as np
import pytest

from data_pipeline.corpora import maps
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared.convert import read_labels

_TEXT = "OnsetTime\tOffsetTime\tMidiPitch\n0.5\t1.0\t60\n\n0.25\t0.75\t72\n"


def _piece(root, piano, piece, *, label=".txt"):
    folder = root / piano / "MUS"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"MAPS_MUS-{piece}_{piano}"
    write_audio(folder / f"{name}.wav", np.zeros((2, 100)), sample_rate_hz=44100)
    if label == ".txt":
        (folder / f"{name}.txt").write_text(_TEXT)
    elif label == ".mid":
        message = mido.Message
        track = [
            message("note_on", note=60, velocity=50, time=0),
            message("control_change", control=64, value=127, time=240),
            message("note_off", note=60, time=240),
            message("control_change", control=64, value=0, time=480),
        ]
        file = mido.MidiFile(ticks_per_beat=480)
        file.tracks.append(mido.MidiTrack(track))
        file.save(folder / f"{name}.mid")


def test_splits_share_no_piece(tmp_path):
    for number in range(20):
        _piece(tmp_path, "AkPnBcht", f"piece_{number:02d}")
    for number in (0, 1):
        _piece(tmp_path, "ENSTDkCl", f"piece_{number:02d}")
        _piece(tmp_path, "SptkBGAm", f"piece_{number + 10:02d}")
    pieces = {}
    for track in maps.scan(tmp_path):
        pieces.setdefault(track.split, set()).add(track.id[9:17])
        assert track.stems[0].instrument == "piano"
    assert pieces["test"] == pieces["omitted"] == {"piece_00", "piece_01"}
    assert pieces["validation"] == {"piece_11"}
    assert len(pieces["train"]) == 17
    assert not pieces["train"] & (pieces["test"] | pieces["validation"])


def _isolated(root, piano, pitch):
    folder = root / piano / "ISOL" / "NO"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"MAPS_ISOL_NO_F_S0_M{pitch}_{piano}.wav"
    write_audio(path, np.zeros((2, 100)), sample_rate_hz=44100)
    path.with_suffix(".txt").write_text(_TEXT)


def test_isolated_notes_train_and_those_of_the_test_pianos_are_left_out(tmp_path):
    for piano in ("AkPnBcht", "ENSTDkCl"):
        _isolated(tmp_path, piano, 60)
        _piece(tmp_path, piano, f"alb_se3_{piano[0]}")
    splits = {track.id: track.split for track in maps.scan(tmp_path)}
    assert splits == {
        "MAPS_ISOL_NO_F_S0_M60_AkPnBcht": "train",
        "MAPS_ISOL_NO_F_S0_M60_ENSTDkCl": "omitted",
        "MAPS_MUS-alb_se3_A_AkPnBcht": "train",
        "MAPS_MUS-alb_se3_E_ENSTDkCl": "test",
    }
    assert len(maps.scan(tmp_path, maps_sections=("MUS",))) == 2
    assert len(maps.scan(tmp_path, maps_sections=("ISOL",))) == 2
    with pytest.raises(ValueError, match="--maps_sections=RAND: expected some of MUS, ISOL"):
        maps.scan(tmp_path, maps_sections=("RAND",))


def test_missing_test_pianos_are_a_warning(tmp_path, caplog):
    _piece(tmp_path, "AkPnBcht", "a")
    maps.scan(tmp_path)
    assert "no piece of theirs can be left out" in caplog.text


def test_labels(tmp_path):
    _piece(tmp_path, "AkPnBcht", "a")
    _piece(tmp_path, "AkPnBcht", "b", label=".mid")
    _piece(tmp_path, "AkPnBcht", "c", label="")
    tracks = {track.id: track for track in maps.scan(tmp_path)}
    text = read_labels(tracks["MAPS_MUS-a_AkPnBcht"].stems[0], maps.read_notes)
    np.testing.assert_allclose(text.intervals, [[0.25, 0.75], [0.5, 1.0]])
    np.testing.assert_array_equal(text.pitches, [72, 60])
    midi = read_labels(tracks["MAPS_MUS-b_AkPnBcht"].stems[0], maps.read_notes)
    np.testing.assert_allclose(midi.intervals, [[0.0, 1.0]])
    by_id = {track.id: track for track in maps.scan(tmp_path, sustain_pedal=False)}
    as_held = read_labels(by_id["MAPS_MUS-b_AkPnBcht"].stems[0], maps.read_notes)
    np.testing.assert_allclose(as_held.intervals, [[0.0, 0.5]])
    assert tracks["MAPS_MUS-c_AkPnBcht"].skipped == (("piano", "no MIDI or text file"),)


def test_bad_files_and_roots(tmp_path):
    (tmp_path / "x.txt").write_text("OnsetTime\n1 2\n")
    with pytest.raises(ValueError, match=r"x\.txt: not a MAPS label file"):
        maps.read_text(tmp_path / "x.txt")
    for row in (
        "0\t1\t" + "9" * 400,
        "1e400\t1\t60",
        "nan\t1\t60",
        "0\t1\t99999999999",
        "2\t1\t60",
    ):
        (tmp_path / "x.txt").write_text(f"OnsetTime\tOffsetTime\tMidiPitch\n{row}\n")
        with pytest.raises(ValueError, match=r"x\.txt: not a MAPS label file \("):
            maps.read_text(tmp_path / "x.txt")
    (tmp_path / "x.txt").write_bytes(b"\xff\n0 1 60\n")
    with pytest.raises(ValueError, match=r"x\.txt: not a MAPS label file .*0xff"):
        maps.read_text(tmp_path / "x.txt")
    with pytest.raises(ValueError, match="no recording of MUS or ISOL found"):
        maps.scan(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        maps.scan(tmp_path / "nowhere")
