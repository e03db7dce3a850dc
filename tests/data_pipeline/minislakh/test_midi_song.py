"""MIDI files as songs: where they end, their passages, their splits, odd names, bad files."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from cerberus_jax.notes import Notes
from data_pipeline import minislakh, prepare
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.minislakh import jobs, renderer
from data_pipeline.minislakh.midi_song import read_midi_song
from data_pipeline.minislakh.wide.midi_excerpt import midi_excerpt
from data_pipeline.prepared.catalogue import Catalogue
from tests.data_pipeline.minislakh.test_minislakh import options, tracks

HOURS_26 = 26 * 3600.0


def notes(*times) -> Notes:
    """A note of pitch 60 for each (onset, offset)."""
    intervals = np.array(times, np.float64).reshape(-1, 2)
    return Notes(intervals, np.full(len(intervals), 60), np.full(len(intervals), 90))


def write(path, *parts):
    write_midi(path, [Part("piano", 0, False, notes(*times)) for times in parts])


def test_a_whole_song_is_as_it_is(tmp_path):
    write(tmp_path / "a.mid", [(0.0, 1.0), (290.0, 291.0)], [(5.0, 900.0)])
    song = read_midi_song(tmp_path / "a.mid")
    assert song.doubt == "" and song.seconds == pytest.approx(291.0 + 299.0 + 1.0, abs=1e-2)
    assert [len(part.notes) for part in song.parts] == [2, 1]


def test_stray_notes_are_cut_off_and_counted(tmp_path):
    write(tmp_path / "a.mid", [(0.0, 1.0), (2.0, 3.0), (HOURS_26, HOURS_26 + 1)], [(2.5, 4.0)])
    song = read_midi_song(tmp_path / "a.mid")
    assert song.seconds == pytest.approx(5.0, abs=1e-2)
    assert [len(part.notes) for part in song.parts] == [2, 1]
    assert "1 of 4 notes left out" in song.doubt and "26.0 hours" in song.doubt


def test_an_hour_is_the_most(tmp_path):
    write(tmp_path / "a.mid", [(second, second + 1.0) for second in range(0, 4000, 100)])
    song = read_midi_song(tmp_path / "a.mid")
    assert song.seconds == pytest.approx(3502.0, abs=1e-1)
    assert "4 of 40 notes left out" in song.doubt


def test_a_file_that_is_mostly_elsewhere_is_refused(tmp_path):
    write(tmp_path / "a.mid", [(0.0, 1.0), (9000.0, 9001.0), (9001.0, 9002.0)])
    with pytest.raises(ValueError, match=r"a\.mid: 2 of 3 notes begin after a rest"):
        read_midi_song(tmp_path / "a.mid")
    write(tmp_path / "b.mid", [])
    with pytest.raises(ValueError, match=r"b\.mid: holds no notes"):
        read_midi_song(tmp_path / "b.mid")


def test_a_folder_of_odd_files_becomes_a_tree_that_can_be_prepared(tmp_path, capsys):
    """A stray note, a name that is no UTF-8, a broken file, other files, a link."""
    folder, elsewhere = tmp_path / "songs", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    latin_1 = os.fsdecode(b"caf\xe9.mid")
    write(folder / latin_1, [(0.0, 1.0)])
    write(folder / "stray.mid", [(0.0, 1.0), (2.0, 3.0), (HOURS_26, HOURS_26 + 1)])
    write(elsewhere / "linked.kar", [(0.0, 2.0)])
    (folder / "link").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    (folder / "broken.mid").write_bytes(b"MThd\0\0\0\6")
    (folder / "notes.txt").write_text("no song")
    root = minislakh.build(tmp_path / "tree", **options(midi_dir=folder))
    said = capsys.readouterr().err
    assert "stray.mid: 1 of 3 notes left out" in said and "skipped" in said
    assert "broken.mid" in said and "notes.txt: not .mid" in said
    lengths = {}
    for track in tracks(root):
        metadata = yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))
        lengths[metadata["lmd_midi_dir"]] = track.name
    assert set(lengths) == {"caf\\udce9.mid", "stray.mid", "link/linked.kar"}
    prepare.prepare("minislakh", root, out=tmp_path / "out", num_workers=1, progress=False)
    t = Catalogue.load(tmp_path / "out").tables
    seconds = dict(zip(t.track_ids.tolist(), (t.track_num_samples / 16000).tolist(), strict=True))
    expected = {"caf\\udce9.mid": 2.0, "stray.mid": 4.0, "link/linked.kar": 3.0}
    for source, name in lengths.items():
        assert seconds[name] == pytest.approx(expected[source], abs=0.01)


def test_a_file_that_cannot_be_rendered_does_not_end_the_rest(tmp_path, capsys, monkeypatch):
    for index, name in enumerate("abc"):
        write(tmp_path / f"{name}.mid", [(0.0, 1.0 + index)])
    render = renderer.Renderer.render

    def fail_once(self, part, **given):
        if fail_once.calls == 1:
            fail_once.calls += 1
            raise MemoryError
        fail_once.calls += 1
        return render(self, part, **given)

    fail_once.calls = 0
    monkeypatch.setattr(renderer.Renderer, "render", fail_once)
    with pytest.raises(ValueError, match=r"1 of 3 MIDI files could not be rendered.*: b\.mid"):
        minislakh.build(tmp_path / "tree", **options(midi_dir=tmp_path))
    assert "b.mid: not enough memory" in capsys.readouterr().err
    assert len(tracks(tmp_path / "tree")) == 2


def test_split_and_number_follow_from_the_content_and_copies_are_left_out(tmp_path, capsys):
    for index in range(40):
        write(tmp_path / f"song{index:02d}.mid", [(0.0, 1.0 + index)])
    made = jobs.midi_jobs(tmp_path)
    assert {job.split for job in made} == {"train", "validation", "test"}
    (tmp_path / "deep").mkdir()
    (tmp_path / "song00.mid").rename(tmp_path / "deep" / "Für Elise.mid")
    shutil.copy(tmp_path / "song01.mid", tmp_path / "twin.mid")
    again = jobs.midi_jobs(tmp_path)
    assert sorted((j.split, j.number) for j in again) == sorted((j.split, j.number) for j in made)
    assert "midi_dir: left out copies: twin.mid (of song01.mid)\n" in capsys.readouterr().err


def test_a_passage_has_notes_wherever_they_are(tmp_path):
    """Three before and three behind minutes of silence, of which most passages would consist."""
    times = [(start + k, start + k + 0.5) for start in (0.0, 280.0) for k in range(3)]
    write(tmp_path / "a.mid", times)
    starts = set()
    for seed in range(20):
        (part,) = midi_excerpt(tmp_path / "a.mid", seed=seed, seconds=4.0, rest=0.0).parts
        assert len(part.notes) == 3
        starts.add(float(part.notes.onsets[0].round(3)))
    assert starts == {0.0, 0.5}  # one that would end behind the song begins earlier


def test_a_file_without_a_passage_is_skipped_and_the_tree_is_built(tmp_path, capsys):
    folder = tmp_path / "songs"
    folder.mkdir()
    write(folder / "sparse.mid", [(0.0, 1.0), (5.0, 6.0), (10.0, 11.0)])
    organ = Part("organ", 16, False, notes(*[(k / 4, k / 4 + 0.2) for k in range(12)]))
    write_midi(folder / "organ.mid", [organ])
    for name in ("sparse", "organ"):
        with pytest.raises(ValueError, match=rf"{name}\.mid: no passage of 3 s has 3 notes of one"):
            midi_excerpt(folder / f"{name}.mid", seed=0, seconds=3.0, rest=1.0)
    write_midi(folder / "good.mid", [replace(organ, program=0)])
    settings = {"sounds": "wide", "midi_dir": folder, "midi_share": 1.0, "song_seconds": 3.0}
    root = minislakh.build(tmp_path / "tree", **options(**settings))
    said = capsys.readouterr().err
    assert "skipped" in said and "sparse.mid: no" in said and "organ.mid: no" in said
    assert len(tracks(root)) == 8
