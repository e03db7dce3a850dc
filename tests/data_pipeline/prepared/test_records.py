"""The TFDS records: what was converted comes back, for anyone, without TensorFlow or a network."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipeline import prepare
from data_pipeline.corpora import slakh
from data_pipeline.io.midi import write_midi
from data_pipeline.prepared.convert import Job, convert, read_converted
from data_pipeline.prepared.layout import RECORDS, VERSION
from data_pipeline.prepared.pack import records_of
from data_pipeline.prepared.records import features, read_records, write_records
from tests import ROOT
from tests.tiny_slakh import make_tree


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Five tracks in two splits; of one the drums have no notes, of another no stem has any."""
    root = tmp_path_factory.mktemp("builder") / "raw"
    make_tree(root, {"train": 3, "test_unseen": 2}, seconds=1.25)
    write_midi(root / "train/Track00001/MIDI/S03.mid", [])
    for midi in (root / "train/Track00002/MIDI").iterdir():
        write_midi(midi, [])
    return root


@pytest.fixture(scope="module")
def converted(raw):
    files = []
    for track in slakh.scan(raw, splits="folders"):
        files.append(raw.parent / f"{track.split}-{track.id}.npz")
        convert(Job(track, files[-1], 16000))
    tracks = [read_converted(path) for path in files]
    tracks[0]["meta"]["stems"][1]["labelled"] = False
    return tracks


@pytest.fixture(scope="module")
def folder(converted, tmp_path_factory):
    return write_records(records_of(converted), "babyslakh", tmp_path_factory.mktemp("records"))


def _check_equal(record, expected):
    for name, value in record.items():
        if name == "stems":
            _check_equal(value, expected[name])
        else:
            np.testing.assert_array_equal(value, expected[name])
            if isinstance(value, np.ndarray) and isinstance(expected[name], np.ndarray):
                assert value.dtype == expected[name].dtype


def test_what_was_written_comes_back(folder, converted):
    expected, splits = records_of(converted), read_records(folder)
    assert {split: len(records) for split, records in splits.items()} == {
        "train": 3,
        "test_unseen": 2,
    }
    for split, records in splits.items():
        by_id = {record["track_id"]: record for record in expected[split]}
        for record in records:
            assert record.keys() == by_id[record["track_id"]].keys()
            _check_equal(record, by_id[record["track_id"]])
    labelled = [all(r["stems"]["is_labelled"]) for records in splits.values() for r in records]
    assert labelled.count(False) == 1


_ANYONE = """
import socket, sys

def refuse(*args, **kwargs):
    raise OSError("the network was used")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory(sys.argv[1])
for split in sorted(builder.info.splits):
    for record in builder.as_data_source(split):
        print(split, record["track_id"].decode(), record["num_samples"], len(record["pitches"]))
print(builder.name, "tensorflow" in sys.modules, "jax" in sys.modules)
"""


def test_anyone_can_read_them_without_tensorflow_or_a_network(folder, converted, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    command = [sys.executable, "-c", _ANYONE, str(moved)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    *tracks, last = run.stdout.split("\n")[:-1]
    metas = [track["meta"] for track in converted]
    expected = [
        f"{meta['split']} {meta['id']} {meta['num_samples']} {len(track['pitches'])}"
        for meta, track in zip(metas, converted, strict=True)
    ]
    assert sorted(tracks) == sorted(expected)
    assert last == "babyslakh False False"


_PREPARE = """
import socket, sys

def refuse(*args, **kwargs):
    raise OSError("the network was used")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from data_pipeline import prepare

prepare.prepare("babyslakh", sys.argv[1], out=sys.argv[2], num_workers=1, progress=False)
print("tensorflow" in sys.modules, "jax" in sys.modules)
"""


def test_preparing_uses_neither_tensorflow_nor_a_network(raw, tmp_path):
    command = [sys.executable, "-c", _PREPARE, str(raw), str(tmp_path / "out")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "False False\n"


def test_the_bytes_depend_on_the_content_alone(raw, tmp_path):
    """Not on the process: protocol buffers order the fields of a record by chance."""
    for out in ("first", "second"):
        command = [sys.executable, "-m", "data_pipeline.prepare", "--corpus=babyslakh"]
        command += [f"--root={raw}", f"--out={tmp_path / out}", "--num_workers=1"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    names = sorted(path.name for path in (tmp_path / "first/babyslakh" / VERSION).iterdir())
    assert len(names) == 7
    for name in names:
        first, second = (
            tmp_path / out / "babyslakh" / VERSION / name for out in ("first", "second")
        )
        assert first.read_bytes() == second.read_bytes(), name


def test_arrays_are_stored_as_bytes_of_one_axis():
    for name in ("rms_db", "note_stems", "onsets", "offsets", "pitches", "velocities"):
        assert features()[name].shape == (None,)
        assert features()[name]._encoding.value == "bytes"


def test_nothing_else_is_left_behind(raw, tmp_path):
    prepare.prepare("babyslakh", raw, out=tmp_path / "out", num_workers=1, progress=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["babyslakh"]
    assert [path.name for path in (tmp_path / "out/babyslakh").iterdir()] == [VERSION]
    names = {path.name for path in (tmp_path / "out/babyslakh" / VERSION).iterdir()}
    records = {path.name for path in (tmp_path / "out/babyslakh" / VERSION).glob(RECORDS)}
    assert len(records) == 2
    assert names - records == {
        "catalogue.npz",
        "dataset_info.json",
        "features.json",
        "pcm.int16",
        "report.json",
    }


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _change_one_byte(path):
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)


_TRAIN = "babyslakh-train.array_record-00000-of-00001"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (_TRAIN, _truncate, "Failed to read RiegeliPostscript"),
        (_TRAIN, _change_one_byte, "Corrupted Riegeli/records file: chunk data hash mismatch"),
        (_TRAIN, lambda path: path.unlink(), rf"No such file or directory.*/damaged/{_TRAIN}"),
        (
            "dataset_info.json",
            lambda path: path.write_text("no"),
            "/damaged: a damaged file of JSON",
        ),
        ("dataset_info.json", lambda path: path.write_text("{}"), "Invalid version ''"),
        ("features.json", lambda path: path.unlink(), f"Cannot restore babyslakh/{VERSION}"),
    ],
)
def test_damage_is_noticed(folder, tmp_path, name, damage, message):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    damage(damaged / name)
    with pytest.raises((ValueError, RuntimeError, OSError), match=message):
        read_records(damaged)


def test_the_version_is_that_of_the_folder(folder):
    assert folder.name == VERSION
    assert str(tfds.builder_from_directory(folder).version) == VERSION
