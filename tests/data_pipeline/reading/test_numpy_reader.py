"""The numpy reader: the planned PCM, shares of processes, the mixture as sum of its sources."""

import itertools

import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from data_pipeline import prepare
from data_pipeline.io import pcm
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading import numpy_reader
from tests import ROOT
from tests.tiny_slakh import make_tree


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    root = tmp_path_factory.mktemp("fetch")
    make_tree(root / "raw", {"train": 2}, stems=("piano", "bass"), seconds=4)
    prepare.prepare("slakh2100", root / "raw", out=root / "out", progress=False)
    config = PlanConfig(("piano", "bass"), FrameGrid(), 16000, 6)
    return Planner(Catalogue.load(root / "out"), config)


def test_batches_are_what_the_files_hold(planner):
    (batch,) = numpy_reader.numpy_batches(planner, first_step=3, num_steps=1)
    planned, t = planner.batch(3), planner.catalogue.tables
    raw = planner.catalogue.root.parent / "raw"
    assert {name: value.dtype.name for name, value in batch.items()} == {
        "sources": "int16",
        "gains": "float32",
        "notes": "int16",
        "labelled": "bool",
    }
    for b, s in np.ndindex(6, 2):
        stem = planned.stems[b, s]
        track = t.track_ids[t.stem_tracks[stem]]
        audio = read_mono_pcm16(raw / f"train/{track}/stems/{t.stem_ids[stem]}.flac", 16000)
        start = planned.offsets[b, s]
        np.testing.assert_array_equal(batch["sources"][b, s], audio[start : start + 16000])
    np.testing.assert_array_equal(batch["gains"], planned.gains)
    np.testing.assert_array_equal(batch["notes"], planned.notes)
    assert batch["labelled"].all() and batch["labelled"].shape == (6, 2)


def test_mixture_is_exactly_the_sum_of_the_sources(planner):
    (batch,) = numpy_reader.numpy_batches(planner, num_steps=1)
    sources = pcm.scale_sources(batch["sources"], batch["gains"])
    mixture = pcm.mix(sources)
    np.testing.assert_array_equal(mixture, sources[:, 0] + sources[:, 1])
    np.testing.assert_array_equal(
        sources[2, 1], batch["sources"][2, 1] / np.float32(32768) * batch["gains"][2, 1]
    )


def test_without_end_and_in_shares(planner):
    whole = list(itertools.islice(numpy_reader.numpy_batches(planner, first_step=5), 3))
    shares = [
        list(
            numpy_reader.numpy_batches(
                planner, first_step=5, num_steps=3, process_index=i, process_count=3
            )
        )
        for i in range(3)
    ]
    for step in range(3):
        for name, value in whole[step].items():
            joined = np.concatenate([share[step][name] for share in shares])
            np.testing.assert_array_equal(joined, value)


def test_bad_shares(planner):
    with pytest.raises(ValueError, match="batch_size=6 cannot be divided among 4 processes"):
        numpy_reader.numpy_batches(planner, process_count=4)
    with pytest.raises(ValueError, match="process_index must lie in"):
        numpy_reader.numpy_batches(planner, process_index=2, process_count=2)


def test_training_data_needs_no_tensorflow():
    import subprocess
    import sys

    modules = "data_pipeline.reading.numpy_reader, data_pipeline.planning.planner"
    code = f"import sys, {modules}; print('tensorflow' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.strip() == "False", out.stderr
