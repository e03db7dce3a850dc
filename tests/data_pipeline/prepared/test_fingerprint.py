"""The code of a raw corpus: it changes with every sample, note and setting, not with file times."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from data_pipeline import prepare
from data_pipeline.corpora import slakh
from data_pipeline.prepared.fingerprint import crc_of_file, fingerprint_of
from tests.tiny_slakh import make_track


@pytest.fixture(params=[".flac", ".wav"])
def tree(request, tmp_path):
    stems = ("piano", "bass", "no_class")
    make_track(tmp_path / "raw/train/Track00001", stems, seconds=8, suffix=request.param)
    return tmp_path / "raw", request.param


def _code(root, **options):
    return fingerprint_of(slakh.scan(root, **options), 16000)


def _change_one_sample(path):
    samples, rate = soundfile.read(path, dtype="int16")
    samples[len(samples) // 2 + 77] ^= 1
    soundfile.write(path, samples, rate, subtype="PCM_16")


def test_one_sample_is_noticed_even_at_the_same_size(tree):
    root, suffix = tree
    before, path = _code(root), root / f"train/Track00001/stems/S00{suffix}"
    size = path.stat().st_size
    _change_one_sample(path)
    assert abs(path.stat().st_size - size) <= (suffix == ".flac") * 64
    assert _code(root) != before


def test_one_byte_of_the_labels_is_noticed(tree):
    root, _ = tree
    before, path = _code(root), root / "train/Track00001/MIDI/S01.mid"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert _code(root) != before


def test_copies_and_stems_of_no_class_make_no_difference(tree, tmp_path):
    root, suffix = tree
    without = _code(root)
    damaged = root / "train/Track00002/metadata.yaml"
    damaged.parent.mkdir()
    damaged.write_text("stems: [")
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    for path in copy.rglob("*.*"):
        os.utime(path, (1, 1))
    _change_one_sample(copy / f"train/Track00001/stems/S02{suffix}")  # of no class: never read
    assert _code(copy) == _code(root) != without


def test_settings_and_rate_are_noticed(tree):
    root, _ = tree
    codes = {
        _code(root),
        _code(root, bass_octave_correction=False),
        _code(root, sustain_pedal=True),
        _code(root, splits="split2"),
        fingerprint_of(slakh.scan(root), 8000),
    }
    assert len(codes) == 4  # Track00001 is in the same split of both


def test_of_flac_only_the_header_is_read_if_it_holds_the_sum(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, np.arange(20000, dtype=np.int16), 16000)
    content = bytearray(path.read_bytes())
    with_sum = crc_of_file(path)
    content[-9] ^= 1  # not to be decoded any more: which preparing will say, not this
    path.write_bytes(content)
    assert crc_of_file(path) == with_sum
    content[26:42] = bytes(16)
    path.write_bytes(content)
    without_sum = crc_of_file(path)
    content[-9] ^= 1
    path.write_bytes(content)
    assert crc_of_file(path) != without_sum


def test_a_changed_tree_is_not_taken_for_the_prepared_one(tree, tmp_path):
    root, suffix = tree

    def again():
        options = {"num_workers": 1, "progress": False}
        prepare.prepare("slakh2100", root, out=tmp_path / "out", **options)

    again()
    again()
    _change_one_sample(root / f"train/Track00001/stems/S00{suffix}")
    with pytest.raises(ValueError, match="prepared from another tree"):
        again()
