"""GuitarSet: strings merged, the late files, splits, bad files, and the genuine recording."""

import json

import numpy as np
import pytest

from data_pipeline.corpora import guitarset
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared.convert import read_labels


def _jams(*strings):
    annotations = [{"namespace": "tempo", "data": [{"time": 0, "duration": 1, "value": 99}]}]
    for notes in strings:
        data = [{"time": t, "duration": d, "value": v, "confidence": None} for t, d, v in notes]
        annotations.append({"namespace": "note_midi", "data": data})
    return json.dumps({"annotations": annotations})


def test_strings_are_merged_and_rounded(tmp_path):
    path = tmp_path / "x.jams"
    first = [(1.0, 0.5, 60.4), (2.0, 0.5, 60.6), (2.0, 0.5, 60.6)]
    path.write_text(_jams(first, [(0.5, 1.0, 44.9)]))
    notes = guitarset.read_jams(path)
    np.testing.assert_array_equal(notes.pitches, [45, 60, 61])
    np.testing.assert_allclose(notes.intervals, [[0.5, 1.5], [1.0, 1.5], [2.0, 2.5]])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text",
        "[]",
        '{"annotations": [{"namespace": "note_midi"}]}',
        _jams(),
        _jams([(1, -2, 60)]),
        _jams([(1, 2, 10**30)]),
        _jams([(10**400, 2, 60)]),
        _jams([(1, 2, "60")]),
        _jams([(float("nan"), 2, 60)]),
        '{"annotations": ' + "[" * 100_000,
        '{"annotations": "' + "x" * 1000 + '"}',
    ],
)
def test_bad_files(tmp_path, content):
    (tmp_path / "x.jams").write_text(content)
    with pytest.raises(ValueError, match=r"x\.jams") as error:
        guitarset.read_jams(tmp_path / "x.jams")
    assert len(str(error.value)) < 300


def test_numbers_elsewhere_in_a_file_do_not_matter(tmp_path):
    content = json.loads(_jams([(1.0, 0.5, 60.0)]))
    content["sandbox"] = {"level": float("nan"), "none": float("inf")}
    (tmp_path / "x.jams").write_text(json.dumps(content))
    assert len(guitarset.read_jams(tmp_path / "x.jams")) == 1


def test_index(tmp_path):
    (tmp_path / "annotation").mkdir()
    (tmp_path / "audio_mono-mic").mkdir()
    names = ["00_BN1-129-Eb_comp", "04_BN3-154-E_comp", "05_SS1-68-E_solo", "01_SS1-68-E_solo"]
    for name in names:
        (tmp_path / "annotation" / f"{name}.jams").write_text(_jams([(1.0, 0.5, 60.0)]))
    for name in names[:3]:
        write_audio(
            tmp_path / "audio_mono-mic" / f"{name}_mic.wav", np.zeros(100), sample_rate_hz=16000
        )
    tracks = {track.id: track for track in guitarset.scan(tmp_path)}
    assert [tracks[name].split for name in names] == ["train", "validation", "test", "train"]
    assert tracks[names[3]].skipped == (("mic", "no audio file"),)
    (late,) = tracks["04_BN3-154-E_comp"].stems
    notes = read_labels(late, guitarset.read_notes)
    np.testing.assert_allclose(notes.intervals, [[1.0 - 0.409, 1.5 - 0.409]])


def test_bad_roots(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        guitarset.scan(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no \.jams file"):
        guitarset.scan(tmp_path)


def test_two_copies_of_a_recording(tmp_path):
    for folder in ("annotation", "copy"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "00_BN1-129-Eb_comp.jams").write_text(_jams([(1.0, 0.5, 60.0)]))
    with pytest.raises(ValueError, match=r"00_BN1-129-Eb_comp\.jams is there more than once"):
        guitarset.scan(tmp_path)


def test_genuine_recording(samples):
    (track,) = guitarset.scan(samples / "guitarset")
    (stem,) = track.stems
    notes = read_labels(stem, guitarset.read_notes)
    assert track.split == "train"
    assert stem.instrument == "guitar"
    assert len(notes) == 40
    assert (notes.pitches.min(), notes.pitches.max()) == (44, 72)
