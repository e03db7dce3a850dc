"""Runs that are killed or have damaged checkpoints: the same command goes on to the same end."""

import random
import signal
import subprocess
import sys
import time

import pytest

from cerberus_jax.checkpoint_folder import steps_in
from experiments import train
from tests import ROOT
from tests.killed_run import SCHEDULE
from tests.tiny_training import assert_same_run, run_training
from tests.waiting import wait_for

STEPS = 24
MOMENTS = random.Random(17)


@pytest.fixture(scope="module")
def through(tmp_path_factory):
    """A run without a stop."""
    folder = tmp_path_factory.mktemp("through")
    run_training(folder, train__num_steps=STEPS, **SCHEDULE)
    return folder


def _killed(workdir):
    """Starts a run and kills it at a random moment after a random checkpoint."""
    command = [sys.executable, "-m", "tests.killed_run", str(workdir), str(STEPS)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    first = MOMENTS.randint(1, STEPS - 8)
    try:
        last = workdir / "checkpoints" / "last"
        wait_for(lambda: process.poll() is not None or steps_in(last)[-1:] >= [first])
        time.sleep(MOMENTS.uniform(0, 0.1))
    finally:
        process.kill()
    return process.wait()


def test_killed_runs_go_on_to_the_same_end(through, tmp_path):
    for number in range(2):
        workdir = tmp_path / str(number)
        assert _killed(workdir) == -signal.SIGKILL
        assert 0 < train.start_step(workdir) < STEPS
        run_training(workdir, train__num_steps=STEPS, **SCHEDULE)
        assert_same_run(through, workdir)


def test_a_run_whose_newest_checkpoint_is_damaged_loses_only_the_steps_since_the_one_before(
    through, tmp_path
):
    run_training(tmp_path, train__num_steps=7, **SCHEDULE)
    for file in (tmp_path / "checkpoints/last/7").glob("training/d/*"):
        file.write_bytes(file.read_bytes()[:-100])
    assert train.start_step(tmp_path) == 6
    run_training(tmp_path, train__num_steps=STEPS, **SCHEDULE)
    assert_same_run(through, tmp_path)


def test_a_run_without_a_last_checkpoint_goes_on_from_its_best(tmp_path):
    """Its plateau knows of the validation that made it the best."""
    schedule = {"train__checkpoint_every": 99, "train__log_every": 1, "train__eval_every": 2}
    run_training(tmp_path / "through", train__num_steps=8, **schedule)
    run_training(tmp_path / "stopped", train__num_steps=6, **schedule)
    for path in (tmp_path / "stopped/checkpoints/last").iterdir():
        (path / "params/manifest.ocdbt").unlink()
    assert train.start_step(tmp_path / "stopped") in (2, 4, 6)
    run_training(tmp_path / "stopped", train__num_steps=8, **schedule)
    assert_same_run(tmp_path / "through", tmp_path / "stopped")
