"""The Slakh index: layouts, classes, known defects, broken metadata, and the genuine samples."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.corpora import slakh
from tests.tiny_slakh import FIVE, make_track, make_tree


def test_classes_are_those_of_the_programs(tmp_path):
    entries = {"S00": (0, False), "S01": (46, False), "S02": (52, False), "S03": (128, True)}
    entries |= {"S04": (19, False), "S05": (200, False), "S06": (25, True)}
    _touch_track(tmp_path / "Track00001", tuple(entries))
    stems = {
        key: {"program_num": program, "is_drum": is_drum, "inst_class": "Strings (continued)"}
        for key, (program, is_drum) in entries.items()
    }
    path = tmp_path / "Track00001/metadata.yaml"
    path.write_text(yaml.safe_dump({"stems": stems}))
    (track,) = slakh.scan(tmp_path)
    classes = [stem.instrument for stem in track.stems]
    assert classes == ["piano", "harp", "choir", "drums", "organ", "", "drums"]


def test_quoted_truth_values_are_what_they_say(tmp_path):
    values = ["False", "true", "no", "1", " TRUE ", "perhaps"]
    keys = [f"S{number:02d}" for number in range(len(values))]
    _touch_track(tmp_path / "Track00001", tuple(keys))
    stems = {k: {"program_num": 33, "is_drum": v} for k, v in zip(keys, values, strict=True)}
    path = tmp_path / "Track00001/metadata.yaml"
    path.write_text(yaml.safe_dump({"stems": stems}))
    (track,) = slakh.scan(tmp_path)
    classes = [stem.instrument for stem in track.stems]
    assert classes == ["bass", "drums", "bass", "drums", "drums"]
    assert track.skipped == (("S05", "metadata.yaml gives no program_num and is_drum"),)


def test_split_folders_of_any_name(tmp_path):
    make_tree(tmp_path, {"train": 2, "test_unseen": 1, "mine": 1}, stems=("piano",), seconds=1)
    tracks = slakh.scan(tmp_path)
    splits = [track.split for track in tracks]
    assert splits == ["mine", "test_unseen", "train", "train"]
    assert tracks[2].stems[0].audio_path.name == "S00.flac"


@pytest.mark.parametrize("top", ["", "babyslakh_16k"])
def test_trees_without_split_folders_are_split_by_number(tmp_path, top):
    for number in (1, 14, 15, 18, 1501, 1876):
        make_track(tmp_path / top / f"Track{number:05d}", ("piano",), seconds=0.2, suffix=".wav")

    def splits(corpus):
        return {track.id: track.split for track in slakh.scan(tmp_path, corpus=corpus)}

    full, baby = splits("slakh2100"), splits("babyslakh")
    assert [full[f"Track{n:05d}"] for n in (18, 1501, 1876)] == ["train", "validation", "test"]
    assert [baby[f"Track{n:05d}"] for n in (14, 15, 18)] == ["train", "validation", "test"]


def test_bass_is_corrected_unless_told_otherwise(tmp_path):
    make_tree(tmp_path / "slakh", {"train": 1}, seconds=0.5)
    make_tree(tmp_path / "own", {"train": 1}, seconds=0.5, extra={"renderer": "minislakh"})

    def shifts(root, **kwargs):
        (track,) = slakh.scan(root, **kwargs)
        return {stem.instrument: stem.pitch_shift for stem in track.stems}

    assert shifts(tmp_path / "slakh") == {**dict.fromkeys(FIVE, 0), "bass": -12}
    assert set(shifts(tmp_path / "slakh", bass_octave_correction=False).values()) == {0}
    assert set(shifts(tmp_path / "own").values()) == {0}


def test_known_bad_stems_are_left_out_of_slakh_only(tmp_path):
    for root, extra in (("slakh", None), ("own", {"renderer": "minislakh"})):
        folder = tmp_path / root / "train" / "Track01629"
        make_track(folder, ("piano", "guitar"), seconds=0.5, extra=extra)
    (track,) = slakh.scan(tmp_path / "slakh")
    assert [stem.id for stem in track.stems] == ["S01"]
    assert track.skipped == (("S00", "white noise"),)
    (track,) = slakh.scan(tmp_path / "own")
    assert [stem.id for stem in track.stems] == ["S00", "S01"]


PROBLEM_STEMS = {  # the published problem list (22), and the two held notes of Track01500
    "white noise": "00357-S03 00377-S07 00385-S00 00398-S00 00400-S00 00629-S01 00633-S01 "
    "00749-S01 01629-S00",
    "wrong pitch": "00496-S01 01918-S10 01931-S01 01937-S03",
    "wrong octave": "01929-S04",
    "audio missing": "01876-S01 01908-S05 01993-S01 02024-S13",
    "labels too short": "00262-S01",
    "labels too long": "00404-S03 00737-S01 00893-S01",
    "one held note": "01500-S12 01500-S13",
}


def _touch_track(folder, stems, **metadata):
    """A track of empty files, which is enough for the index."""
    for name in ("stems", "MIDI"):
        (folder / name).mkdir(parents=True)
    for key in stems:
        (folder / f"stems/{key}.flac").touch()
        (folder / f"MIDI/{key}.mid").touch()
    entries = {key: {"program_num": 0, "is_drum": False} for key in stems}
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"stems": entries, **metadata}))


def test_every_stem_of_the_published_problem_list_is_left_out_with_its_reason(tmp_path):
    rows = [
        (f"Track{name[:5]}", name[6:], reason)
        for reason, text in PROBLEM_STEMS.items()
        for name in text.split()
    ]
    assert len(rows) == len(set(rows)) == 24
    stems = [f"S{number:02d}" for number in range(14)]
    for name in {name for name, _, _ in rows}:
        _touch_track(tmp_path / "train" / name, stems)
    left_out = set()
    for track in slakh.scan(tmp_path):
        left_out |= {(track.id, *pair) for pair in track.skipped}
        skipped = {stem for stem, _ in track.skipped}
        assert [stem.id for stem in track.stems] == [key for key in stems if key not in skipped]
    assert left_out == set(rows)


def test_foreign_paths_in_the_metadata_of_track00616_lead_nowhere(tmp_path):
    """Its audio_dir and midi_dir name folders of the authors' machine; here these even exist."""
    elsewhere, folder = tmp_path / "other/Track00616", tmp_path / "slakh/train/Track00616"
    _touch_track(elsewhere, ("S00", "S01"))
    dirs = {"audio_dir": str(elsewhere / "stems"), "midi_dir": str(elsewhere / "MIDI")}
    _touch_track(folder, ("S00", "S01"), **dirs)
    (folder / "stems/S01.flac").unlink()
    (track,) = slakh.scan(tmp_path / "slakh")
    (stem,) = track.stems
    assert stem.audio_path == folder / "stems/S00.flac"
    assert stem.notes_path == folder / "MIDI/S00.mid"
    assert track.skipped == (("S01", "no audio file (piano)"),)


def test_files_count_not_flags(tmp_path):
    make_track(tmp_path / "train" / "Track00001", ("piano", "guitar", "bass", "organ"), seconds=0.5)
    path = tmp_path / "train/Track00001/metadata.yaml"
    metadata = yaml.safe_load(path.read_text())
    metadata["audio_dir"] = "/somewhere/else"
    for entry in metadata["stems"].values():
        entry["audio_rendered"] = entry["midi_saved"] = False
    metadata["stems"]["S07"] = {"program_num": 0, "is_drum": False, "audio_rendered": True}
    metadata["stems"]["../S08"] = {"program_num": 0, "is_drum": False}
    metadata["stems"]["S09"] = {"program_num": "?"}
    path.write_text(yaml.safe_dump(metadata))
    (tmp_path / "train/Track00001/MIDI/S01.mid").unlink()
    (track,) = slakh.scan(tmp_path)
    assert [(stem.id, stem.instrument) for stem in track.stems] == [
        ("S00", "piano"),
        ("S02", "bass"),
        ("S03", "organ"),
    ]
    skipped = dict(track.skipped)
    assert skipped["S01"] == "no MIDI file (guitar)"
    assert skipped["S07"] == "no audio file (piano)"
    assert "not a name" in skipped["../S08"]
    assert "program_num" in skipped["S09"]


def test_bad_roots(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        slakh.scan(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no track found.*TrackXXXXX"):
        slakh.scan(tmp_path)
    make_track(tmp_path / "a" / "train" / "Track00001", ("piano",), seconds=0.2)
    make_track(tmp_path / "b" / "train" / "Track00001", ("piano",), seconds=0.2)
    with pytest.raises(ValueError, match="two tracks of one name"):
        slakh.scan(tmp_path)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["stems", "S00", "program_num", "is_drum", "renderer"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(_values)
def test_random_metadata_never_crashes(tmp_path_factory, value):
    root = tmp_path_factory.getbasetemp() / "random_metadata"
    (root / "train/Track00001").mkdir(parents=True, exist_ok=True)
    (root / "train/Track00001/metadata.yaml").write_text(yaml.safe_dump(value))
    (track,) = slakh.scan(root)
    assert track.stems == ()


def test_random_bytes_as_metadata(tmp_path):
    (tmp_path / "train/Track00001").mkdir(parents=True)
    (tmp_path / "train/Track00001/metadata.yaml").write_bytes(b"\xff\xfe\x00 {[ :")
    (track,) = slakh.scan(tmp_path)
    assert track.stems == ()
    assert "not the metadata of a track" in track.skipped[0][1]


def test_metadata_too_deep_for_libyaml_lose_their_track_alone(tmp_path):
    make_tree(tmp_path, {"train": 2}, stems=("piano",), seconds=0.2)
    (tmp_path / "train/Track00001/metadata.yaml").write_bytes(b"[" * 200_000)
    deep, good = slakh.scan(tmp_path)
    assert len(good.stems) == 1 and deep.stems == ()
    assert "nested deeper than 50 levels" in deep.skipped[0][1]


@pytest.mark.parametrize("program", ["1" + "0" * 30, ".inf", "-1", "256", "[]"])
def test_a_program_that_is_none_loses_its_stem_alone(tmp_path, program):
    make_tree(tmp_path, {"train": 1}, stems=("piano", "guitar"), seconds=0.2)
    file = tmp_path / "train/Track00001/metadata.yaml"
    text = file.read_text().replace("program_num: 0", f"program_num: {program}")
    file.write_text(text.replace("is_drum: false", "is_drum: true", 1))
    (track,) = slakh.scan(tmp_path)
    assert [stem.id for stem in track.stems] == ["S01"]
    assert track.skipped == (("S00", "metadata.yaml gives no program_num and is_drum"),)


def test_genuine_samples(samples):
    tracks = {track.id: track for track in slakh.scan(samples / "slakh2100")}
    stems = {
        name: {stem.id: (stem.instrument, stem.pitch_shift) for stem in track.stems}
        for name, track in tracks.items()
    }
    assert {name: track.split for name, track in tracks.items()} == {
        "Track00049": "omitted",
        "Track00001": "train",
        "Track01501": "validation",
    }
    assert stems["Track00049"] == {
        "S00": ("bass", -12),
        "S02": ("guitar", 0),
        "S05": ("piano", 0),
    }
    assert stems["Track00001"] == {
        "S00": ("guitar", 0),
        "S02": ("piano", 0),
        "S03": ("bass", -12),
        "S07": ("guitar", 0),
    }
    assert stems["Track01501"] == {"S00": ("piano", 0), "S01": ("strings", 0)}
    for track in tracks.values():  # metadata.yaml calls them rendered, and they are not here
        assert "no audio file (drums)" in dict(track.skipped).values()
