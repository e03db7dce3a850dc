"""MIDI files as songs: where they end, odd names, and that one bad file does not end the rest."""

import os
import shutil

import numpy as np
import pytest
import yaml

from cerberus_jax.notes import Notes
from data_pipeline import minislakh, prepare
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.minislakh import jobs, renderer
from data_pipeline.minislakh.midi_song import read_midi_song
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
