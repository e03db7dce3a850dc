"""MAESTRO's shape: the table of splits, missing files, the pedal, and recordings prepared."""

import csv

import mido
import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.corpora import maestro
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared.catalogue import Catalogue

COLUMNS = (
    *("canonical_composer", "canonical_title", "split", "year"),
    *("midi_filename", "audio_filename", "duration"),
)


def make_recording(path, pitch):
    """A second of a tone, and a note of half a second that the pedal holds for a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(np.arange(2 * 44100) / 10) / 4
    write_audio(path.with_suffix(".wav"), np.stack([tone, tone]), sample_rate_hz=44100)
    message = mido.Message
    events = [
        message("note_on", note=pitch, velocity=50, time=0),
        message("control_change", control=64, value=127, time=240),
        message("note_off", note=pitch, time=240),
        message("control_change", control=64, value=0, time=480),
    ]
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack(events))
    file.save(path.with_suffix(".midi"))


def write_table(path, rows, columns=COLUMNS):
    """The csv of (split, name without suffix) rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for split, name in rows:
            files = {"midi_filename": f"{name}.midi", "audio_filename": f"{name}.wav"}
            words = {"canonical_composer": "Béla Bartók", "canonical_title": "Étude, op. 18"}
            writer.writerow({**words, "split": split, "year": 2018, "duration": 2.0, **files})


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw/maestro-v3.0.0"
    rows = [("train", "2004/a"), ("validation", "2006/a"), ("test", "2018/c"), ("train", "2018/d")]
    for number, (_, name) in enumerate(rows[:3]):
        make_recording(folder / name, 60 + number)
    write_table(folder / "maestro-v3.0.0.csv", rows)
    return folder.parent


@pytest.mark.parametrize(("options", "offset"), [({}, 1.0), ({"sustain_pedal": False}, 0.5)])
def test_recordings_are_prepared(raw, tmp_path, options, offset):
    report = prepare.prepare("maestro", raw, out=tmp_path / "out", progress=False, **options)
    assert report.num_tracks == {"test": 1, "train": 1, "validation": 1}
    assert report.skipped == [["2018_d", "piano", "no file 2018/d.wav"]]
    assert report.corrections == ({} if options else {"piano sustain_pedal": 3})
    catalogue = Catalogue.load(tmp_path / "out")
    assert catalogue.tables.track_ids.tolist() == ["2018_c", "2004_a", "2006_a"]
    assert set(catalogue.tables.stem_instruments.tolist()) == {"piano"}
    assert catalogue.notes(1).pitches.tolist() == [60]
    assert catalogue.notes(1).offsets.tolist() == [offset]


def test_missing_files_are_named(raw):
    folder = raw / "maestro-v3.0.0"
    (folder / "2004/a.midi").unlink()
    (folder / "2006/a.wav").rename(folder / "2006/a.flac")  # the same recording, packed
    tracks = {track.id: track for track in maestro.scan(raw)}
    assert tracks["2004_a"].skipped == (("piano", "no file 2004/a.midi"),)
    assert tracks["2018_d"].skipped == (("piano", "no file 2018/d.wav"),)
    assert tracks["2006_a"].stems[0].audio_path.suffix == ".flac"


def test_the_table_may_lie_at_the_top_and_be_called_otherwise(raw):
    folder = raw / "maestro-v3.0.0"
    (folder / "maestro-v3.0.0.csv").rename(folder / "mine.csv")
    assert len(maestro.scan(folder)) == 4


def test_no_table_or_several(raw, tmp_path):
    folder = raw / "maestro-v3.0.0"
    write_table(folder / "maestro-v2.0.0.csv", [("train", "2004/a")])
    with pytest.raises(ValueError, match=r"several tables of splits .*v2\.0\.0\.csv, .*v3\.0\.0"):
        maestro.scan(raw)
    for path in folder.glob("*.csv"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no table of splits.*maestro-v3\.0\.0\.csv"):
        maestro.scan(raw)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        maestro.scan(tmp_path / "nowhere")


@pytest.mark.parametrize("column", ["split", "audio_filename", "midi_filename"])
def test_a_missing_column(raw, column):
    path = raw / "maestro-v3.0.0/maestro-v3.0.0.csv"
    write_table(path, [("train", "2004/a")], [name for name in COLUMNS if name != column])
    with pytest.raises(ValueError, match=rf"csv: no column {column}; expected split"):
        maestro.scan(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column split"),
        ("split,audio_filename,midi_filename\n", "no rows"),
        ("split,audio_filename,midi_filename\ntrain,a.wav\n", r"row 1: .*midi_filename=None"),
        ("split,audio_filename,midi_filename\n../x,a.wav,a.midi\n", r"row 1: .*split='\.\./x'"),
        ("split,audio_filename,midi_filename\ntrain,\xff", "not a table of commas and UTF-8"),
    ],
)
def test_a_damaged_table(raw, text, message):
    path = raw / "maestro-v3.0.0/maestro-v3.0.0.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"maestro-v3\.0\.0\.csv: {message}"):
        maestro.scan(raw)


@pytest.mark.parametrize("name", [".", "..", "/", "/a.wav", "../a.wav", "a\0b", "x" * 5000])
def test_a_row_names_files_inside_of_the_corpus(tmp_path, name):
    table = tmp_path / "maestro-v3.0.0.csv"
    table.write_text(f"split,audio_filename,midi_filename\ntrain,{name},b.mid\n")
    with pytest.raises(ValueError, match=r"v3\.0\.0\.csv: (row 1: expected|not a table)") as error:
        maestro.scan(tmp_path)
    message = str(error.value).replace(str(tmp_path), "")
    assert message.isprintable() and len(message) < 300


def test_a_recording_that_is_named_twice(raw):
    path = raw / "maestro-v3.0.0/maestro-v3.0.0.csv"
    write_table(path, [("train", "2004/a"), ("train", "2004/a")])
    with pytest.raises(ValueError, match=r"v3\.0\.0\.csv: row 2: two tracks of one name and"):
        maestro.scan(raw)
