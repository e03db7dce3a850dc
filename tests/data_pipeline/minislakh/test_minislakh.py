"""The trees of MiniSlakh: shape, content, repeats, what is refused, own MIDI files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
import yaml

from data_pipeline import minislakh
from data_pipeline.corpora import slakh
from data_pipeline.io.midi import Part, read_midi, read_notes, write_midi
from data_pipeline.minislakh import jobs, programs, renderer, track_folder, tree
from tests import ROOT
from tests.data_pipeline.minislakh.test_renderer import one_part

SLAKH_KEYS = {
    "UUID", "audio_dir", "lmd_midi_dir", "midi_dir", "normalization_factor", "normalized",
    "overall_gain", "target_peak", "stems",
}  # fmt: skip
SLAKH_STEM_KEYS = {
    "audio_rendered", "inst_class", "integrated_loudness", "is_drum", "midi_program_name",
    "midi_saved", "plugin_name", "program_num",
}  # fmt: skip


def options(**changes):
    return {"num_songs": 2, "song_seconds": 4.0, "num_workers": 1, "progress": False, **changes}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return minislakh.build(tmp_path_factory.mktemp("minislakh") / "tree", **options())


def tracks(root):
    return sorted(root.glob("*/Track*"))


def stems_of(track):
    return [soundfile.read(p, dtype="int16")[0] for p in sorted((track / "stems").glob("*.flac"))]


def content(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_tree_has_the_shape_of_slakh(small):
    assert sorted(p.name for p in small.iterdir() if p.is_dir()) == sorted(jobs.SPLITS)
    names = [track.name for track in tracks(small)]
    assert len(set(names)) == len(names) == 8
    for track in tracks(small):
        assert {p.name for p in track.iterdir()} == {
            "MIDI", "stems", "all_src.mid", "metadata.yaml", "mix.flac",
        }  # fmt: skip
        metadata = yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))
        assert set(metadata) > SLAKH_KEYS and metadata["renderer"] == "minislakh"
        assert metadata["audio_dir"] == f"{track.name}/stems"
        for name, stem in metadata["stems"].items():
            assert set(stem) == SLAKH_STEM_KEYS
            parts = read_midi(track / "MIDI" / f"{name}.mid")
            assert len(parts) == 1 and parts[0].is_drum == stem["is_drum"]
            assert stem["program_num"] == (128 if stem["is_drum"] else parts[0].program)
            assert stem["plugin_name"] == "TimGM6mb.sf2"


def test_the_index_takes_every_stem_as_it_sounds(small):
    for track in slakh.scan(small):
        assert [stem.instrument for stem in track.stems] == list(programs.INSTRUMENTS)
        assert not track.skipped and all(stem.pitch_shift == 0 for stem in track.stems)
    assert {track.split for track in slakh.scan(small)} == set(jobs.SPLITS)


def test_the_mix_is_the_sum_of_the_stems(small):
    for track in tracks(small):
        mix, rate = soundfile.read(track / "mix.flac", dtype="int16")
        stems = stems_of(track)
        assert rate == 16000 and len(mix) == 64000 and len(stems) == 5
        assert np.array_equal(mix, np.sum(stems, axis=0, dtype=np.int32))
        peak = max(np.abs(x.astype(int)).max() for x in [mix, *stems])
        assert 0.88 * 32768 < peak < 0.9 * 32768


def test_stems_are_equally_loud(small):
    for track in tracks(small):
        levels = [track_folder.level_db(x / 32768, 16000) for x in stems_of(track)]
        assert max(levels) - min(levels) < 0.1


def test_sound_is_where_the_notes_are(small):
    inside, outside = [], []
    for track in tracks(small):
        for midi, audio in zip(sorted((track / "MIDI").iterdir()), stems_of(track), strict=True):
            notes = read_notes(midi)
            cells = audio[: len(audio) // 160 * 160].reshape(-1, 160).astype(float)
            power = np.square(cells).mean(axis=1)
            times = (np.arange(len(power)) + 0.5) / 100
            near = (notes.onsets[:, None] - 0.01 <= times) & (
                times < np.maximum(notes.offsets, notes.onsets + 0.1)[:, None] + 0.3
            )
            inside.append(power[near.any(axis=0)])
            outside.append(power[~near.any(axis=0)])
    assert np.concatenate(inside).mean() > 100 * np.concatenate(outside).mean()


def test_songs_depend_on_neither_their_number_nor_the_processes(small, tmp_path):
    other = minislakh.build(tmp_path / "tree", **options(num_songs=3, num_workers=2))
    ours, theirs = content(small), content(other)
    ours.pop(Path(tree.SETTINGS_FILE))
    assert set(ours) < set(theirs) and all(theirs[name] == data for name, data in ours.items())


def test_a_repeat_makes_only_what_is_missing(small, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(small, root)
    shutil.rmtree(root / "train" / "Track00001")
    stamps = {p: p.stat().st_mtime_ns for p in root.rglob("*.flac")}
    minislakh.build(root, **options())
    assert content(root) == content(small)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert not (root / ".partial").exists()


def test_what_a_killed_process_left_is_swept_and_never_indexed(small, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(small, root)
    left = track_folder.partial_root(root) / "train-Track00009-999999999"
    shutil.copytree(small / "train" / "Track00001", left)
    assert len(slakh.scan(root)) == 8
    minislakh.build(root, **options())
    assert not (root / ".partial").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_songs": 0}, "num_songs must lie in 1..20000, got 0"),
        ({"song_seconds": -1.0}, "song_seconds must lie in"),
        ({"song_seconds": float("nan")}, "song_seconds must lie in"),
        ({"num_workers": -1}, "num_workers must be 0"),
        ({"sample_rate_hz": 1}, "sample_rate_hz must lie in"),
    ],
)
def test_values_out_of_range(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        minislakh.build(tmp_path / "tree", **options(**changes))
    assert not (tmp_path / "tree").exists()


def test_soundfonts_that_are_none(tmp_path):
    text = tmp_path / "font.sf2"
    text.write_text("not a font")
    with pytest.raises(ValueError, match=r"font\.sf2 cannot be read as a soundfont"):
        minislakh.build(tmp_path / "tree", **options(soundfonts=(str(text),)))
    with pytest.raises(FileNotFoundError, match=r"none\.sf2"):
        minislakh.build(tmp_path / "tree", **options(soundfonts=(str(tmp_path / "none.sf2"),)))
    assert not (tmp_path / "tree").exists()


def test_an_out_of_other_settings_or_other_making(small, tmp_path):
    with pytest.raises(ValueError, match=r"seed=0 \(now 1\)"):
        minislakh.build(small, **options(seed=1))
    with pytest.raises(ValueError, match="more than these settings give"):
        minislakh.build(small, **options(num_songs=1))
    (tmp_path / "train" / "Track00001").mkdir(parents=True)
    with pytest.raises(ValueError, match="MiniSlakh did not make"):
        minislakh.build(tmp_path, **options())
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        minislakh.build(file, **options())


def test_several_soundfonts_are_drawn_stem_by_stem(tmp_path):
    fonts = [str(tmp_path / name) for name in ("one.sf2", "two.sf2")]
    sounds = Path(renderer.default_soundfont()).read_bytes()
    for index, font in enumerate(fonts):
        Path(font).write_bytes(sounds + bytes([index]))  # copies would count once
    root = minislakh.build(tmp_path / "tree", **options(song_seconds=0.5, soundfonts=fonts))
    used = set()
    for track in tracks(root):
        metadata = yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))
        used |= {stem["plugin_name"] for stem in metadata["stems"].values()}
    assert used == {"one.sf2", "two.sf2"}
    assert json.loads((root / tree.SETTINGS_FILE).read_text())["soundfonts"] == sorted(used)


def test_own_midi_files_become_tracks(tmp_path, capsys):
    folder = tmp_path / "songs"
    (folder / "deep").mkdir(parents=True)
    others = [one_part(73, 72), one_part(0, 38, is_drum=True), one_part(33, 40)]
    songs = {f"deep/song{index}.mid": [one_part(0, 60 + index), *others] for index in range(12)}
    for name, parts in songs.items():
        write_midi(folder / name, parts)
    write_midi(folder / "empty.mid", [])
    (folder / "broken.mid").write_bytes((folder / "deep" / "song0.mid").read_bytes()[:60])
    root = minislakh.build(tmp_path / "tree", **options(midi_dir=folder))
    said = capsys.readouterr().err
    assert "empty.mid: holds no notes" in said and "broken.mid" in said
    assert len(tracks(root)) == 12 and len(list((root / "train").iterdir())) >= 7
    track = tracks(root)[0]
    metadata = yaml.safe_load((track / "metadata.yaml").read_text(encoding="utf-8"))
    for index, part in enumerate(songs[metadata["lmd_midi_dir"]]):
        (found,) = read_midi(track / "MIDI" / f"S{index:02d}.mid")
        assert (found.program, found.is_drum) == (part.program, part.is_drum)
        assert np.allclose(found.notes.intervals, part.notes.intervals, atol=1e-3)
    assert all(len(stem) == 40000 and stem.any() for stem in stems_of(track))
    assert metadata["stems"]["S01"]["inst_class"] == "Pipe"
    before = content(root)
    minislakh.build(root, **options(midi_dir=folder))
    assert content(root) == before
    write_midi(folder / metadata["lmd_midi_dir"], others)
    with pytest.raises(ValueError, match=f"more than these settings.*{track.name}"):
        minislakh.build(root, **options(midi_dir=folder))


def test_a_midi_dir_without_a_usable_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        minislakh.build(tmp_path / "tree", **options(midi_dir=tmp_path / "none"))
    (tmp_path / "a.mid").write_text("no")
    with pytest.raises(ValueError, match="holds no usable"):
        minislakh.build(tmp_path / "tree", **options(midi_dir=tmp_path))
    assert not (tmp_path / "tree").exists()


def test_drums_off_channel_10_are_drums(tmp_path):
    """A kit by the bank of General MIDI 2; the notes are those of its file."""
    file = mido.MidiFile()
    for bank, program, note in ((120, 0, 36), (121, 33, 40)):
        control = mido.Message("control_change", control=0, value=bank, channel=bank - 120)
        on, off = (
            mido.Message(kind, note=note, channel=bank - 120, time=time)
            for kind, time in (("note_on", 0), ("note_off", 240))
        )
        change = mido.Message("program_change", program=program, channel=bank - 120)
        file.tracks.append(mido.MidiTrack([control, change, on, off]))
    file.save(tmp_path / "a.mid")
    root = minislakh.build(tmp_path / "tree", **options(midi_dir=tmp_path))
    (track,) = tracks(root)
    stems = yaml.safe_load((track / "metadata.yaml").read_text())["stems"]
    assert [(stem["is_drum"], stem["program_num"]) for stem in stems.values()] == [
        (True, 128),
        (False, 33),
    ]
    assert [part.is_drum for part in read_midi(track / "all_src.mid")] == [True, False]


def test_real_midi_renders(samples, tmp_path):
    for file in (samples / "freedoom_midi").glob("*.mid"):
        parts = [
            Part(p.name, p.program, p.is_drum, p.notes.window(5.0, 12.0)) for p in read_midi(file)
        ]
        write_midi(tmp_path / file.name, parts)
    root = minislakh.build(tmp_path / "tree", **options(midi_dir=tmp_path))
    assert len(tracks(root)) == 2
    assert all(stem.any() for track in tracks(root) for stem in stems_of(track))


def test_command_line(tmp_path):
    command = [sys.executable, "-m", "data_pipeline.minislakh", f"--out={tmp_path / 'tree'}"]
    good = subprocess.run(
        [*command, "--num_songs=1", "--song_seconds=0.5", "--num_workers=1"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert good.returncode == 0, good.stderr
    assert "1 train, 2 validation, 2 test, 2 test_unseen" in good.stdout
    bad = subprocess.run(
        [*command, "--num_songs=0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert bad.returncode == 1 and bad.stderr.strip() == (
        "error: num_songs must lie in 1..20000, got 0"
    )


def test_unknown_names_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        minislakh.nothing  # noqa: B018
