"""tf.data and numpy give the same bytes from any step, with any threads and processes."""

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from data_pipeline import prepare
from data_pipeline.planning.batch import PlanConfig
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.numpy_reader import numpy_batches
from tests import ROOT
from tests.tiny_slakh import make_tree

tf_reader = pytest.importorskip("data_pipeline.reading.tf_reader")
INSTRUMENTS = ("piano", "guitar", "bass")


def _prepared(root, corpora):
    for number, corpus in enumerate(corpora):
        make_tree(root / corpus, {"train": 2}, stems=INSTRUMENTS, seconds=3 + number)
        prepare.prepare(corpus, root / corpus, out=root / "out", progress=False)
    return Catalogue.load(root / "out")


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """Of two tracks, the first of which has a guitar without labels."""
    catalogue = _prepared(tmp_path_factory.mktemp("one"), ["slakh2100"])
    is_labelled = np.array([True, False, True, True, True, True])
    tables = dataclasses.replace(catalogue.tables, stem_is_labelled=is_labelled)
    catalogue = dataclasses.replace(catalogue, tables=tables)
    return Planner(catalogue, PlanConfig(INSTRUMENTS, FrameGrid(), 12800, 4))


def _same(batches, expected, count):
    for batch, twin in itertools.zip_longest(
        itertools.islice(batches, count), itertools.islice(expected, count)
    ):
        assert set(batch) == set(twin) == {"sources", "gains", "notes", "labelled"}
        for name in batch:
            assert batch[name].dtype == twin[name].dtype
            np.testing.assert_array_equal(batch[name], twin[name])


def test_equal_to_numpy(planner):
    _same(tf_reader.batches(planner, num_steps=51), numpy_batches(planner, num_steps=51), 60)


def test_batches_say_which_sources_have_labels(planner):
    for k, batch in enumerate(tf_reader.batches(planner, num_steps=3)):
        expected = planner.batch(k).stems != 1  # the guitar without labels is stem 1
        np.testing.assert_array_equal(batch["labelled"], expected)
        assert 0 < expected[:, 1].sum() < 4
        assert expected[:, [0, 2]].all()


def test_start_in_the_middle(planner):
    whole = itertools.islice(tf_reader.batches(planner), 25, 50)
    _same(tf_reader.batches(planner, first_step=25), whole, 25)


def test_any_number_of_threads(planner):
    batches = tf_reader.batches(planner, num_threads=1)
    _same(batches, tf_reader.batches(planner, num_threads=4), 50)
    with pytest.raises(ValueError, match="num_threads must be positive"):
        tf_reader.batches(planner, num_threads=0)


def test_two_processes_take_half_each(planner):
    halves = [
        tf_reader.batches(planner, process_index=i, process_count=2, num_threads=1)
        for i in range(2)
    ]
    joined = (
        {name: np.concatenate([first[name], second[name]]) for name in first}
        for first, second in zip(*halves, strict=False)
    )
    _same(joined, numpy_batches(planner), 50)


def test_several_corpora(tmp_path):
    catalogue = _prepared(tmp_path, ["slakh2100", "minislakh"])
    planner = Planner(catalogue, PlanConfig(INSTRUMENTS, FrameGrid(), 12800, 8))
    assert set(planner.batch(0).corpora.ravel().tolist()) == {0, 1}
    _same(tf_reader.batches(planner), numpy_batches(planner), 51)


_SPARSE = """
import dataclasses, sys
import numpy as np
from cerberus_jax.frames import FrameGrid
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.tf_reader import batches
from data_pipeline.planning.planner import PlanConfig, Planner

catalogue = Catalogue.load(sys.argv[1])
huge = 10_000_000_000  # samples
with open(sys.argv[1] + "/sparse", "wb") as file:
    file.truncate(2 * huge)
starts = catalogue.tables.stem_pcm_start.copy()
starts[-1] = huge - 100_000
tables = dataclasses.replace(catalogue.tables, stem_pcm_start=starts)
path = catalogue.root / "sparse"
catalogue = dataclasses.replace(catalogue, pcm_paths=(path,), tables=tables)
config = PlanConfig(("piano",), FrameGrid(), 12800, 4)
for batch in batches(Planner(catalogue, config), num_steps=20):
    assert not batch["sources"].any()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["RssAnon"].split()[0]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_data(planner):
    command = [sys.executable, "-c", _SPARSE, str(planner.catalogue.root)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) < 1024  # MB, of a file of 20 GB


_FAULTS = """
import itertools, resource, sys
from cerberus_jax.frames import FrameGrid
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.tf_reader import batches
from data_pipeline.planning.planner import PlanConfig, Planner

config = PlanConfig(("piano", "guitar", "bass"), FrameGrid(), 32000, 64)
reading = batches(Planner(Catalogue.load(sys.argv[1]), config))
sizes = [batch["sources"].nbytes for batch in itertools.islice(reading, 20)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
sizes = [batch["sources"].nbytes for batch in itertools.islice(reading, 20)]
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults / (sum(sizes) / resource.getpagesize()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of Linux")
def test_batches_come_from_a_pool(planner):
    command = [sys.executable, "-c", _FAULTS, str(planner.catalogue.root)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert float(out.stdout) < 0.1  # pages asked of the system, of those that the batches fill
