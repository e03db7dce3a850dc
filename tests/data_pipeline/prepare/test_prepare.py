"""Preparing: what is written, what is refused, damaged files, options, the command line."""

import collections
import subprocess
import sys

import mido
import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline import prepare
from data_pipeline.corpora import archive, slakh
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.prepared.catalogue import Catalogue
from tests import ROOT
from tests.data_pipeline.io.broken_audio import with_flac_length
from tests.tiny_slakh import FIVE, make_track, make_tree


def prepare_quietly(root, out, **kwargs):
    kwargs = {"num_workers": 1, "progress": False} | kwargs
    return prepare.prepare(kwargs.pop("corpus", "slakh2100"), root, out=out, **kwargs)


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_audio_and_notes_arrive(tmp_path):
    sounding = make_tree(
        tmp_path / "raw", {"train": 2, "test": 1}, stems=(*FIVE, "organ", "no_class"), seconds=3
    )
    report = prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert report.num_tracks == {"test": 1, "train": 2}
    assert report.minutes["train"] == pytest.approx(dict.fromkeys((*FIVE, "organ"), 0.1))
    assert report.num_other_stems == 3
    assert report.corrections == {"bass pitch_shift -12": 3}
    assert report.unlabelled == {}
    catalogue = Catalogue.load(tmp_path / "out")
    (pcm,), t = catalogue.pcm(), catalogue.tables
    assert len(t.stem_ids) == 18
    for stem in range(18):
        track, key = str(t.track_ids[t.stem_tracks[stem]]), str(t.stem_ids[stem])
        (path,) = (tmp_path / "raw").glob(f"*/{track}/stems/{key}.flac")
        start = t.stem_pcm_start[stem]
        np.testing.assert_array_equal(pcm[start : start + 48000], read_mono_pcm16(path, 16000))
        expected, notes = sounding[track][key], catalogue.notes(stem)
        np.testing.assert_array_equal(notes.pitches, expected.pitches)
        np.testing.assert_allclose(notes.intervals, expected.intervals, atol=1e-4)


def test_other_rates_and_lengths(tmp_path):
    make_track(tmp_path / "raw/train/Track00001", ("piano",), seconds=2, rate=44100, suffix=".wav")
    prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert Catalogue.load(tmp_path / "out").tables.track_num_samples.tolist() == [32000]


def test_again_does_nothing_and_says_so(tmp_path, caplog):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=1)
    first = prepare_quietly(tmp_path / "raw", tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    assert prepare_quietly(tmp_path / "raw", tmp_path / "out") == first
    assert "already prepared; nothing to do" in caplog.text
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


def test_what_a_stopped_sweep_left_goes_with_the_next_call(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=1)
    first = prepare_quietly(tmp_path / "raw", tmp_path / "out")
    left = tmp_path / "out/slakh2100/part-0123"
    left.mkdir()
    (left / "Track00001.npz").write_bytes(bytes(100))
    assert prepare_quietly(tmp_path / "raw", tmp_path / "out") == first
    assert not left.exists()


def test_another_tree_is_refused(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=1)
    prepare_quietly(tmp_path / "raw", tmp_path / "out")
    make_tree(tmp_path / "other", {"train": 2}, stems=("piano",), seconds=1)
    with pytest.raises(ValueError, match="prepared from another tree"):
        prepare_quietly(tmp_path / "other", tmp_path / "out")
    with pytest.raises(ValueError, match="prepared from another tree"):
        make_track(tmp_path / "raw/test/Track00009", ("bass",), seconds=1)
        prepare_quietly(tmp_path / "raw", tmp_path / "out")


def test_nothing_usable(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("no_class",), seconds=1)
    with pytest.raises(ValueError, match="no usable track"):
        prepare_quietly(tmp_path / "raw", tmp_path / "out")
    make_tree(tmp_path / "empty", {"train": 1}, stems=("piano",), seconds=1)
    (tmp_path / "empty/train/Track00001/stems/S00.flac").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"(?s)no usable track.*S00\.flac"):
        prepare_quietly(tmp_path / "empty", tmp_path / "out")


def test_check_writes_nothing(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, seconds=1)
    before = content(tmp_path)
    report = prepare_quietly(tmp_path / "raw", tmp_path / "out", check=True)
    assert report.num_tracks == {"train": 1}
    assert content(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_notes_outside_the_keys_are_counted(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=1)
    intervals = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [5.0, 6.0]])
    notes = Notes(intervals, np.array([20, 21, 109, 60]), np.full(4, 9))
    path = tmp_path / "raw/train/Track00001/MIDI/S00.mid"
    write_midi(path, [Part("", 0, False, notes)])
    assert prepare_quietly(tmp_path / "raw", tmp_path / "out").notes_out_of_range == 2
    assert Catalogue.load(tmp_path / "out").notes(0).pitches.tolist() == [21]  # 5 s: no audio there


def test_unknown_corpus_and_root(tmp_path):
    with pytest.raises(ValueError, match="--corpus=jazz: unknown"):
        prepare_quietly(tmp_path, tmp_path / "out", corpus="jazz")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        prepare_quietly(tmp_path / "nowhere", tmp_path / "out")


def test_several_corpora_in_one_directory(tmp_path, samples):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=1)
    prepare_quietly(tmp_path / "raw", tmp_path / "out", corpus="minislakh")
    prepare_quietly(samples / "guitarset", tmp_path / "out", corpus="guitarset")
    catalogue = Catalogue.load(tmp_path / "out")
    assert catalogue.corpora == ("guitarset", "minislakh")
    assert catalogue.tables.stem_instruments.tolist() == ["guitar", "piano"]
    assert catalogue.tables.track_corpora.tolist() == [0, 1]
    assert len(catalogue.notes(0)) > 30
    assert Catalogue.load(tmp_path / "out/guitarset").corpora == ("guitarset",)


def test_one_process_at_a_time(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=0.5)
    with (
        prepare._alone(tmp_path / "out/slakh2100"),
        pytest.raises(OSError, match="out/slakh2100: another process is preparing this corpus"),
    ):
        prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert prepare_quietly(tmp_path / "raw", tmp_path / "out").num_tracks == {"train": 1}


def test_command_line(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=1)

    def run(*args):
        command = [sys.executable, "-m", "data_pipeline.prepare", *args]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    done = run("--corpus=slakh2100", f"--root={tmp_path / 'raw'}", "--check")
    assert done.returncode == 0, done.stderr
    assert "piano" in done.stdout
    bad = run(f"--root={tmp_path / 'nowhere'}", "--check")
    assert bad.returncode == 1
    assert bad.stderr.strip().startswith("error:")
    assert "Traceback" not in bad.stderr
    make_tree(tmp_path / "cut", {"train": 1}, stems=("piano", "bass"), seconds=1)
    (stem, _) = sorted((tmp_path / "cut").rglob("*.flac"))[-2:]
    stem.write_bytes(stem.read_bytes()[:100])
    damaged = run("--corpus=slakh2100", f"--root={tmp_path / 'cut'}", "--check")
    assert damaged.returncode == 1
    assert "1 stems cannot be read" in damaged.stderr
    usage = run("--corpus=slakh2100")
    assert usage.returncode == 1
    assert "--root=DIR" in usage.stderr


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano", "no_class"), seconds=1, rate=44100)
    tracks = slakh.scan(tmp_path / "raw")
    for rate in (16000, 8000):
        needed = prepare.bytes_needed(tracks, tmp_path / "part", sample_rate_hz=rate)
        assert needed == 2 * rate * 2 * 2
    usage = collections.namedtuple("usage", "free")
    free = archive.RESERVE + 2 * 16000 * 2 * 2 - 1
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage(free))
    with pytest.raises(OSError, match=r"preparing slakh2100 needs .* GB are free; make room"):
        prepare_quietly(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage(free + 1))
    prepare_quietly(tmp_path / "raw", tmp_path / "out")


def test_a_header_does_not_fill_the_disk(tmp_path):
    """One that announces weeks of music in a small file is not believed."""
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano",), seconds=1, rate=44100)
    first, _ = sorted((tmp_path / "raw").rglob("*.flac"))
    content = first.read_bytes()
    for length, num_songs in ((0, 2), (2**36 - 1, 1)):  # unknown: decoded; untrue: left out
        first.write_bytes(with_flac_length(content, length))
        tracks = slakh.scan(tmp_path / "raw")
        needed = prepare.bytes_needed(tracks, tmp_path / "part", sample_rate_hz=16000)
        assert needed == num_songs * 16000 * 2 * 2


def test_options_of_the_corpora(tmp_path):
    make_tree(tmp_path / "raw", {"train": 3}, stems=("piano", "drums", "bass"), seconds=1)
    options = {"splits": "split2", "sustain_pedal": True, "bass_octave_correction": False}
    report = prepare_quietly(tmp_path / "raw", tmp_path / "out", **options)
    assert report.num_tracks == {"train": 2, "test": 1}
    assert report.corrections == {"piano sustain_pedal": 3, "bass sustain_pedal": 3}
    with pytest.raises(ValueError, match="was prepared from another tree or with other settings"):
        prepare_quietly(tmp_path / "raw", tmp_path / "out")
    with pytest.raises(ValueError, match="--corpus=maps has no option --splits"):
        prepare_quietly(tmp_path / "raw", tmp_path / "out", corpus="maps", splits="orig")


def test_the_pedal_lengthens_notes(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano",), seconds=3)
    message = mido.Message
    events = [
        message("note_on", note=60, velocity=50, time=0),
        message("control_change", control=64, value=127, time=240),
        message("note_off", note=60, time=240),
        message("control_change", control=64, value=0, time=480),
    ]
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack(events))
    file.save(tmp_path / "raw/train/Track00001/MIDI/S00.mid")
    for name, pedal, end in (("off", False, 0.5), ("on", True, 1.0)):
        prepare_quietly(tmp_path / "raw", tmp_path / name, sustain_pedal=pedal)
        assert Catalogue.load(tmp_path / name).notes(0).offsets.tolist() == [end]


def test_the_command_line_says_how_to_get_maps(tmp_path):
    command = [sys.executable, "-m", "data_pipeline.prepare", "--corpus=maps", "--download"]
    command += [f"--root={tmp_path / 'new'}", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: --corpus=maps: MAPS is given out on request")
