"""MUSDB18's shape: names of stems, splits, the compressed form, songs without notes."""

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.corpora import musdb
from data_pipeline.io.audio import write_audio
from data_pipeline.prepared import convert
from data_pipeline.prepared.catalogue import Catalogue

FOUR = ("vocals", "bass", "drums", "other")


def make_song(folder, names=(*FOUR, "mixture"), *, seconds=0.5, suffix=".wav"):
    """A song of stereo noise at 44.1 kHz, a file per name."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(names))
    for name in names:
        noise = rng.uniform(-0.2, 0.2, (2, round(seconds * 44100)))
        write_audio(folder / f"{name}{suffix}", noise, sample_rate_hz=44100)


def classes(track):
    return {stem.id: stem.instrument for stem in track.stems}


def test_a_song_without_notes_is_prepared(tmp_path):
    make_song(tmp_path / "raw/train/A - One", seconds=1.0)
    make_song(tmp_path / "raw/test/B - Two", seconds=0.5)
    report = prepare.prepare("musdb18", tmp_path / "raw", out=tmp_path / "out", progress=False)
    assert report.num_tracks == {"test": 1, "train": 1}
    assert report.unlabelled == dict.fromkeys(("vocals", "bass", "drums", "rest"), 2)
    assert "rest: 2 stems" in report.text()
    catalogue = Catalogue.load(tmp_path / "out")
    t = catalogue.tables
    assert sorted(t.stem_instruments[:4].tolist()) == ["bass", "drums", "rest", "vocals"]
    assert t.stem_is_drum.tolist() == (t.stem_instruments == "drums").tolist()
    assert all(not len(catalogue.notes(stem)) for stem in range(8))
    assert t.track_num_samples.tolist() == [8000, 16000]
    assert np.abs(catalogue.pcm()[0]).max() > 1000


def test_what_is_written_says_which_stems_have_notes(tmp_path):
    make_song(tmp_path / "raw/train/A")
    (track,) = musdb.scan(tmp_path / "raw")
    convert.convert(convert.Job(track, tmp_path / "x.npz", 16000))
    converted = convert.read_converted(tmp_path / "x.npz")
    assert [stem["labelled"] for stem in converted["meta"]["stems"]] == [False] * 4
    assert not len(converted["pitches"])


@pytest.mark.parametrize("top", ["", "musdb18hq", "MUSDB18-HQ"])
def test_splits(tmp_path, top):
    for name in ("train/A", "train/Leaf - Summerghost", "test/Z", "mine/B"):
        make_song(tmp_path / top / name, FOUR, seconds=0.01)
    make_song(tmp_path / top / "C", FOUR, seconds=0.01)
    splits = {track.id: track.split for track in musdb.scan(tmp_path)}
    assert splits == {
        "A": "train",
        "Leaf - Summerghost": "validation",
        "Z": "test",
        "B": "mine",
        "C": "train",
    }


def test_the_customary_validation_songs():
    assert len(musdb.VALIDATION) == 14


def test_names_of_stems(tmp_path):
    names = ("Vocals", "ELECTRIC GUITAR", "acoustic-guitar", "piano", "strings", "kazoo", "Mixture")
    make_song(tmp_path / "A", names, seconds=0.01, suffix=".flac")
    write_audio(tmp_path / "A/piano.wav", np.zeros(100), sample_rate_hz=44100)
    (tmp_path / "A/._piano.wav").write_bytes(b"of a Mac")
    (track,) = musdb.scan(tmp_path)
    assert classes(track) == {
        "Vocals": "vocals",
        "ELECTRIC GUITAR": "guitar",
        "acoustic-guitar": "guitar",
        "piano": "piano",
        "strings": "strings",
    }
    assert track.skipped == (("kazoo", "not the name of a class of instruments"),)
    assert {stem.audio_path.suffix for stem in track.stems} == {".flac"}
    assert not any(stem.is_labelled for stem in track.stems)


def test_a_song_of_which_there_is_the_mixture_alone(tmp_path):
    make_song(tmp_path / "test/A", ("mixture",), seconds=0.01)
    (track,) = musdb.scan(tmp_path)
    assert track.stems == ()
    assert track.skipped == (("*", "the mixture alone, without stems"),)


def test_the_compressed_form(tmp_path):
    make_song(tmp_path / "train/A", seconds=0.01)
    for name in ("A", "B"):
        (tmp_path / f"train/{name}.stem.mp4").touch()
    with pytest.raises(ValueError, match=r"B\.stem\.mp4: .*MUSDB18-HQ.*musdbconvert"):
        musdb.scan(tmp_path)
    (tmp_path / "train/B.stem.mp4").unlink()  # that of A has been decoded
    assert [track.id for track in musdb.scan(tmp_path)] == ["A"]


def test_bad_roots(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        musdb.scan(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no song found; expected .*vocals\.wav"):
        musdb.scan(tmp_path)
    for name in ("A", "train/A"):
        make_song(tmp_path / name, FOUR, seconds=0.01)
    with pytest.raises(ValueError, match="two tracks of one name and split"):
        musdb.scan(tmp_path)
