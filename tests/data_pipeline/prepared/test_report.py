"""The report: damaged files named, nothing usable refused, readable text."""

import json
from dataclasses import asdict

import pytest

from data_pipeline import prepare
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.report import Report, make_report
from tests.tiny_slakh import make_tree


def test_damaged_stems_are_left_out_with_the_reason(tmp_path, caplog):
    make_tree(tmp_path / "raw", {"train": 1}, seconds=3)
    stems = tmp_path / "raw/train/Track00001"
    flac, midi = stems / "stems/S00.flac", stems / "MIDI/S01.mid"
    flac.write_bytes(flac.read_bytes()[:3000])
    midi.write_bytes(midi.read_bytes()[:40])
    report = prepare.prepare("slakh2100", tmp_path / "raw", out=tmp_path / "out", progress=False)
    reasons = {stem: reason for _, stem, reason in report.skipped}
    assert str(flac) in reasons["S00"]
    assert str(midi) in reasons["S01"]
    assert str(flac) in caplog.text
    assert str(flac) in report.text()
    instruments = Catalogue.load(tmp_path / "out").tables.stem_instruments.tolist()
    assert instruments == ["bass", "drums", "strings"]


def _converted(stems, **kwargs):
    meta = {"id": "Track1", "split": "train", "num_samples": 960000, "sample_rate_hz": 16000}
    meta |= {"skipped": [], "unreadable": [], "corrections": {}, "notes_out_of_range": 1}
    return {
        "meta": meta
        | {"stems": [{"instrument": name, "labelled": name != "rest"} for name in stems]}
        | kwargs
    }


def test_minutes_and_counts():
    tracks = [
        _converted(["piano", "piano", "bass"], corrections={"bass pitch_shift -12": 1}),
        _converted(["piano"], skipped=[["S01", "other instrument"], ["S02", "white noise"]]),
        _converted([]),
    ]
    report = make_report("slakh2100", tracks, "abc")
    assert report.num_tracks == {"train": 2}
    assert report.minutes == {"train": {"piano": 3.0, "bass": 1.0}}
    assert report.skipped == [["Track1", "S02", "white noise"]]
    assert (report.num_other_stems, report.notes_out_of_range) == (1, 3)
    for line in ("bass pitch_shift -12: 1 stems", "Track1 S02: white noise", "0.05"):
        assert line in report.text()


def test_stems_without_notes_are_counted():
    tracks = [_converted(["rest", "bass"]), _converted(["rest", "rest"])]
    report = make_report("musdb18", tracks, "abc")
    assert report.unlabelled == {"rest": 3}
    assert "rest: 3 stems" in report.text()
    assert make_report("maps", [_converted(["piano"])], "abc").unlabelled == {}


def test_stems_left_out_for_one_reason_are_shown_together():
    skipped = [[f"S{number:02d}", "white noise"] for number in range(20)] + [["S20", "no file"]]
    text = make_report("slakh2100", [_converted(["piano"], skipped=skipped)], "abc").text()
    assert "20 stems, Track1 S00 the first: white noise" in text
    assert text.count("white noise") == 1
    assert "Track1 S20: no file" in text


def test_reports_of_earlier_versions_are_read(tmp_path):
    report = make_report("slakh2100", [_converted(["piano"])], "abc")
    fields = asdict(report)
    for name in ("unlabelled", "sample_rate_hz"):
        del fields[name]
    (tmp_path / "report.json").write_text(json.dumps(fields))
    assert Report.load(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_tracks": 3}, "num_tracks: an object expected"),
        ({"skipped": [["a", "b"]]}, r"skipped\[0\]: a list of 3 items expected"),
        ({"doubts": None}, "doubts: a list expected, got None"),
        ({"minutes": {}}, "no minutes of the split 'train'"),
        ({"fingerprint": None}, "fingerprint: text expected"),
    ],
)
def test_another_file_is_no_report(tmp_path, change, message):
    fields = asdict(make_report("slakh2100", [_converted(["piano"])], "abc")) | change
    (tmp_path / "report.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=rf"report\.json: .*{message}"):
        Report.load(tmp_path / "report.json")


def test_nothing_usable():
    with pytest.raises(ValueError, match=r"(?s)no usable track: none of 1.*Track1 S00 a\.flac"):
        make_report("maps", [_converted([], unreadable=[["S00", "a.flac: broken"]])], "abc")
