"""Batches 0 to 50 of two corpora, bit for bit: from step 25, any threads, numpy, two processes."""

import itertools
import json
import subprocess
import sys
import zlib

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.planning.planner import Planner
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.numpy_reader import numpy_batches
from tests import ROOT
from tests.tiny_slakh import make_tree, plan_config

tf_reader = pytest.importorskip("data_pipeline.reading.tf_reader")
NUM_BATCHES = 51

_HALF = """
import json, sys, zlib
from data_pipeline.prepared.catalogue import Catalogue
from data_pipeline.reading.tf_reader import batches
from data_pipeline.planning.planner import Planner
from tests.tiny_slakh import plan_config

planner = Planner(
    Catalogue.load(sys.argv[1]), plan_config(augment_polarity=0.5, augment_equaliser_db=6)
)
index = int(sys.argv[2])
half = batches(planner, num_steps=51, process_index=index, process_count=2, num_threads=1 + index)
rows = [[[zlib.crc32(batch[name][i].tobytes()) for name in sorted(batch)]
         for i in range(len(batch["gains"]))] for batch in half]
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """Of two corpora in one prepared directory, whose songs have nothing in common."""
    root = tmp_path_factory.mktemp("determinism")
    for corpus, count, seconds in (("slakh2100", 2, 4), ("minislakh", 1, 5)):
        stems = ("piano", "guitar", "bass", "piano")
        make_tree(root / corpus, {"train": count}, stems=stems, seconds=seconds)
        prepare.prepare(corpus, root / corpus, out=root / "out", progress=False)
    config = plan_config(augment_polarity=0.5, augment_equaliser_db=6)
    return Planner(Catalogue.load(root / "out"), config)


@pytest.fixture(scope="module")
def expected(planner):
    return _digests(numpy_batches(planner, num_steps=NUM_BATCHES))


def _digests(batches):
    """[step][row][array] checksums."""
    return [
        [
            [zlib.crc32(batch[name][i].tobytes()) for name in sorted(batch)]
            for i in range(len(batch["gains"]))
        ]
        for batch in batches
    ]


def test_both_corpora_are_in_most_batches(planner):
    both = [set(planner.batch(k).corpora.ravel().tolist()) == {0, 1} for k in range(NUM_BATCHES)]
    assert sum(both) > NUM_BATCHES // 2


def test_all_batches_differ(expected):
    rows = list(itertools.chain.from_iterable(expected))
    assert len(expected) == NUM_BATCHES
    assert len({tuple(row) for row in rows}) == len(rows) == 8 * NUM_BATCHES


@pytest.mark.parametrize("num_threads", [1, 4])
def test_one_and_four_threads(planner, expected, num_threads):
    batches = tf_reader.batches(planner, num_steps=NUM_BATCHES, num_threads=num_threads)
    assert _digests(batches) == expected


@pytest.mark.parametrize("batches", [tf_reader.batches, numpy_batches])
def test_from_the_middle(planner, expected, batches):
    assert _digests(batches(planner, first_step=25, num_steps=26)) == expected[25:]


def test_two_processes_that_each_take_half(planner, expected):
    command = [sys.executable, "-c", _HALF, str(planner.catalogue.root)]
    running = [
        subprocess.Popen([*command, str(i)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    halves = [json.loads(process.communicate(timeout=300)[0]) for process in running]
    assert [first + second for first, second in zip(*halves, strict=True)] == expected


def test_a_seed_of_its_own_for_every_run(planner, expected):
    config = plan_config(augment_polarity=0.5, augment_equaliser_db=6, seed=1)
    reseeded = Planner(planner.catalogue, config)
    (batch,) = numpy_batches(reseeded, num_steps=1)
    assert _digests([batch]) != expected[:1]
    assert np.isfinite(batch["gains"]).all()
