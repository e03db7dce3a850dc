"""Stems beyond full scale, out of phase or with an offset, prepared: what is stored and said."""

import dataclasses

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.io.audio import write_audio
from data_pipeline.io.pcm import to_pcm16
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.prepared.tables import Tables
from tests.tiny_slakh import make_tree

RATE = 16000


@pytest.fixture
def tree(tmp_path):
    make_tree(tmp_path / "raw", {"train": 1}, stems=("piano", "bass"), seconds=2, suffix=".wav")
    return tmp_path / "raw"


def replace_stem(tree, number, samples):
    path = tree / f"train/Track00001/stems/S0{number}.wav"
    write_audio(path, np.asarray(samples, np.float32), sample_rate_hz=RATE, subtype="FLOAT")


def prepared(tree):
    report = prepare.prepare(
        "slakh2100", tree, out=tree.parent / "out", progress=False, num_workers=1
    )
    catalogue = Catalogue.load(tree.parent / "out")
    t, (pcm,) = catalogue.tables, catalogue.pcm()
    return report, t, [pcm[start : start + t.track_num_samples[0]] for start in t.stem_pcm_start]


def noise(*shape, peak):
    samples = np.random.default_rng(0).uniform(-1, 1, shape)
    return (samples * (peak / np.abs(samples).max())).astype(np.float32)


def test_a_track_beyond_full_scale_is_scaled_as_a_whole(tree):
    loud, quiet = noise(2 * RATE, peak=3.0), noise(2 * RATE, peak=0.25)
    replace_stem(tree, 0, loud)
    replace_stem(tree, 1, quiet)
    report, tables, pcm = prepared(tree)
    gain = 32767 / 32768 / 3.0
    assert tables.track_gains.dtype == np.float32
    np.testing.assert_allclose(tables.track_gains, [gain], rtol=1e-6)
    for found, samples in zip(pcm, (loud, quiet), strict=True):
        np.testing.assert_allclose(found / 32768, gain * samples, atol=0.51 / 32768)
    assert report.levels == [
        ["Track00001", "all stems", "scaled by -9.54 dB: they exceed full scale"]
    ]
    assert "scaled by -9.54 dB" in report.text()


@pytest.mark.parametrize("peak", [1.0, 0.5])
def test_a_track_within_full_scale_keeps_every_bit(tree, peak):
    stems = [noise(2, 2 * RATE, peak=peak), noise(1, 2 * RATE, peak=0.1)]
    for number, samples in enumerate(stems):
        replace_stem(tree, number, samples)
    report, tables, pcm = prepared(tree)
    assert tables.track_gains.tolist() == [1.0] and report.levels == []
    for found, samples in zip(pcm, stems, strict=True):
        np.testing.assert_array_equal(found, to_pcm16(samples.mean(0)))


def test_a_stem_out_of_phase_is_no_silence(tree):
    source = noise(2 * RATE, peak=0.5)
    replace_stem(tree, 0, np.stack([source, -source]))
    report, tables, pcm = prepared(tree)
    difference = pcm[0] / 32768 - source
    assert 20 * np.log10(np.std(difference) / np.std(source)) < -35
    assert [row[:2] for row in report.levels] == [["Track00001", "S00"]]
    assert "out of phase" in report.text()
    assert tables.note_start[1] > 0


def test_an_offset_is_left_out(tree):
    source = 0.2 * np.sin(2 * np.pi * 220 * np.arange(2 * RATE) / RATE)
    replace_stem(tree, 0, source + 0.3)
    report, _, pcm = prepared(tree)
    middle = slice(RATE // 2, -RATE // 2)
    np.testing.assert_allclose(pcm[0][middle] / 32768, source[middle], atol=1e-3)
    assert "offset" in report.text()


def test_tables_of_records_and_caches_without_gains(tree):
    _, tables, _ = prepared(tree)
    (cache,) = (tree.parent / "out").glob("*/*/catalogue.npz")
    with np.load(cache) as file:
        arrays = {name: file[name] for name in file.files if name != "track_gains"}
    np.savez(cache, **arrays)
    found = Catalogue.load(tree.parent / "out").tables
    for field in dataclasses.fields(Tables):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(tables, field.name))
    assert "track_gains" not in np.load(cache).files  # it was read as it is
