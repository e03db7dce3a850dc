"""Trees of wide songs: their shape, what they tell of their sounds, repeats, refusals."""

import shutil

import numpy as np
import pytest
import soundfile
import yaml

from cerberus_jax.notes import Notes
from data_pipeline import minislakh
from data_pipeline.corpora import slakh
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.minislakh import __main__ as command
from data_pipeline.minislakh import soundfonts, track_folder, tree
from data_pipeline.minislakh.wide.palettes import HELD_OUT_SOUNDFONTS, SEEN, UNSEEN
from tests.data_pipeline.minislakh.test_minislakh import content, options, stems_of, tracks


@pytest.fixture(scope="module")
def midi_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    intervals = np.array([[i / 2, i / 2 + 0.4] for i in range(8)])
    for index in range(9):
        notes = Notes(intervals, np.full(8, 60 + index), np.full(8, 90))
        parts = [Part("x", program, False, notes) for program in (0, 25, 73)]
        write_midi(folder / f"song{index}.mid", parts)
    return folder


def wide(folder, **changes):
    settings = {"sounds": "wide", "midi_dir": folder, "midi_share": 0.5, "rest": 1.0}
    return options(**{"num_songs": 4, "song_seconds": 3.0} | settings | changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory, midi_dir):
    return minislakh.build(tmp_path_factory.mktemp("wide") / "tree", **wide(midi_dir))


def metadata_of(track):
    return yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))


def test_tracks_tell_their_sounds_and_their_stems_sum_to_the_mix(root):
    found = {"sources": set(), "effects": set(), "instruments": set()}
    for track in tracks(root):
        metadata = metadata_of(track)
        palette = UNSEEN if track.parent.name == "test_unseen" else SEEN
        for stem in metadata["stems"].values():
            found["effects"].add(stem["effects"])
            if stem["is_drum"] and track.parent.name == "train":
                assert stem["midi_program_name"] == "Drums"
            if stem["inst_class"] == "Guitar" and track.parent.name in ("train", "test_unseen"):
                assert stem["program_num"] in palette.programs["guitar"]
        found["sources"].add(metadata["lmd_midi_dir"].startswith("minislakh/"))
        mix, _ = soundfile.read(track / "mix.flac", dtype="int16")
        assert np.array_equal(mix, np.sum(stems_of(track), axis=0, dtype=np.int32))
        levels = [track_folder.level_db(x / 32768, 16000) for x in stems_of(track)]
        assert max(levels) - min(levels) < 0.1
    for track in slakh.scan(root):
        assert not track.skipped
        found["instruments"] |= {stem.instrument for stem in track.stems}
    assert found["sources"] == {True, False}
    assert len(found["effects"]) > 10
    assert found["instruments"] > {"piano", "guitar", "bass", "drums", "strings"}


def test_a_repeat_is_the_same_and_makes_only_what_is_missing(root, midi_dir, tmp_path):
    again = tmp_path / "tree"
    shutil.copytree(root, again)
    shutil.rmtree(again / "train" / "Track00001")
    minislakh.build(again, **wide(midi_dir))
    assert content(again) == content(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sounds": "broad"}, "sounds must be one of narrow, wide, got 'broad'"),
        ({"sounds": "narrow"}, "rest=1.0 needs sounds=wide"),
        ({"sounds": "narrow", "rest": 0.0}, "midi_share=0.5 needs sounds=wide"),
        ({"rest": 2.0}, "rest must lie in 0..1"),
        ({"song_seconds": 1.5}, "song_seconds must be at least 2.0 with sounds=wide, got 1.5"),
        ({"midi_share": -1.0}, "midi_share must lie in 0..1"),
        ({"midi_dir": ""}, "midi_share=0.5 needs midi_dir"),
        ({"midi_share": 0.0}, "midi_dir with sounds=wide needs midi_share above 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(midi_dir, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        minislakh.build(tmp_path / "tree", **wide(midi_dir, **changes))
    assert not (tmp_path / "tree").exists()


def test_a_tree_of_other_sounds_is_refused(root, midi_dir):
    with pytest.raises(ValueError, match=r"composer=.*now 1"):
        minislakh.build(root, **options(num_songs=4, song_seconds=3.0))
    with pytest.raises(ValueError, match=r"rest=1.0 \(now 0.5\)"):
        minislakh.build(root, **wide(midi_dir, rest=0.5))
    with pytest.raises(ValueError, match=r"midi_share=0.5 \(now None\)"):
        minislakh.build(root, **wide("", midi_share=0.0))


def test_a_tree_of_other_passages_is_refused(root, midi_dir, tmp_path):
    (tmp_path / "songs").mkdir()
    shutil.copy(midi_dir / "song0.mid", tmp_path / "songs")
    with pytest.raises(ValueError, match=r"made from another version of song0\.mid"):
        minislakh.build(root, **wide(tmp_path / "songs", midi_share=0.5))


def test_installed_soundfonts_are_found_once(tmp_path, monkeypatch):
    (tmp_path / "b.sf3").write_bytes(b"b")
    (tmp_path / "a.SF2").write_bytes(b"a")
    (tmp_path / "notes.txt").write_bytes(b"")
    (tmp_path / "default-GM.sf2").symlink_to(tmp_path / "a.SF2")
    monkeypatch.setattr(soundfonts, "FOLDERS", (str(tmp_path), str(tmp_path / "none")))
    default = soundfonts.default_soundfont()
    found = soundfonts.found_soundfonts(["auto"])
    assert found == (default, str(tmp_path / "a.SF2"), str(tmp_path / "b.sf3"))
    assert soundfonts.found_soundfonts([]) == (default,)
    assert soundfonts.found_soundfonts([default, "auto"]) == found


def test_a_soundfont_of_several_names_counts_once(tmp_path):
    names = ("font", "other", "copy", "link")
    font, other, copy, link = (tmp_path / f"{name}.sf2" for name in names)
    font.write_bytes(b"sounds")
    other.write_bytes(b"others")
    shutil.copy(font, copy)
    link.symlink_to(other)
    found = soundfonts.found_soundfonts([str(path) for path in (font, link, other, copy)])
    assert found == (str(font), str(link))


def test_a_held_out_soundfont_is_known_behind_a_link_and_not_enough(tmp_path):
    link = tmp_path / "default-GM.sf2"
    link.symlink_to(tmp_path / HELD_OUT_SOUNDFONTS[0])
    assert SEEN.allowed_soundfonts([str(link), "a.sf2"]) == ["a.sf2"]
    assert UNSEEN.allowed_soundfonts([str(link), "a.sf2"]) == [str(link), "a.sf2"]
    shutil.copy(soundfonts.default_soundfont(), link)
    alone = options(sounds="wide", soundfonts=[str(link)])
    with pytest.raises(ValueError, match=r"default-GM\.sf2, which is held out.*--soundfont"):
        minislakh.build(tmp_path / "tree", **alone)
    assert not (tmp_path / "tree").exists()


def test_the_command_takes_the_flags(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(command, "build", lambda out, **given: calls.append(given) or tmp_path)
    flags = ["--sounds=wide", "--rest=0.5", "--midi_share=0.25", "--soundfont=auto"]
    assert command.main([f"--out={tmp_path}", *flags, "--midi_dir=songs"]) == 0
    (given,) = calls
    assert (given["sounds"], given["rest"], given["midi_share"]) == ("wide", 0.5, 0.25)
    assert given["soundfonts"] == ("auto",)
    assert tree.SOUNDS == ("narrow", "wide")
