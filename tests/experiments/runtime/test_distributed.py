"""A run in two genuine processes: what one process of as many devices would do, and no hanging."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from cerberus_jax import checkpoint, parallel
from cerberus_jax.steps import init_state
from experiments import run, train
from experiments.config.loading import load_config
from experiments.runtime import distributed
from experiments.training.metric_log import read_metrics
from tests import ROOT
from tests.distributed_checks import CONFIG
from tests.tiny_network import noise_batch
from tests.waiting import MAX_SECONDS

STEPS = 7


def _train(workdir, *more, steps=STEPS, processes=2):
    """What each of the processes prints at its end."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    devices = f"--xla_force_host_platform_device_count={2 // processes}"
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.distributed_checks"),
                *(str(workdir), str(steps), coordinator, f"{number}/{processes}", *more),
            ],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": devices},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        ends = [process.communicate(timeout=MAX_SECONDS) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (_, stderr) in zip(running, ends, strict=True):
        assert process.returncode == 0, stderr[-3000:]
    return [stdout.splitlines()[-1] for stdout, _ in ends]


def _state(workdir):
    task = train.task_of(load_config("sets/set1.py", CONFIG))
    like = jax.eval_shape(lambda: init_state(task, jax.random.key(0), noise_batch(4)))
    same = parallel.replicated(parallel.make_mesh())
    return jax.tree.map(np.asarray, checkpoint.restore_state(workdir, like, same))


def _assert_same_run(one, other):
    entries = read_metrics(one), read_metrics(other)
    assert [[entry["step"] for entry in run] for run in entries] == [[2, 3, 4, 6, 7]] * 2
    for left, right in zip(*entries, strict=True):
        assert left.keys() == right.keys()
        numbers = [name for name, value in left.items() if isinstance(value, float)]
        assert "loss" in numbers and "gradient_norm" in numbers
        for name in numbers:
            assert left[name] == pytest.approx(right[name], rel=1e-5), name
    states = _state(one), _state(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *states)
    assert checkpoint.saved_steps(one) == checkpoint.saved_steps(other)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The run of one process with two devices."""
    folder = tmp_path_factory.mktemp("single")
    assert _train(folder, processes=1) == ["finished"]
    return folder


def test_two_processes_make_the_run_of_one(single, tmp_path):
    assert _train(tmp_path) == ["finished"] * 2
    _assert_same_run(single, tmp_path)


def test_a_signal_to_one_process_stops_all_and_the_run_goes_on_the_same(single, tmp_path):
    assert _train(tmp_path, "stop") == ["KeyboardInterrupt: "] * 2
    assert checkpoint.saved_steps(tmp_path)["last"] in (2, 4)  # where lines are logged
    assert _train(tmp_path) == ["finished"] * 2
    _assert_same_run(single, tmp_path)


def test_a_disk_that_one_process_finds_full_ends_all(tmp_path):
    ends = _train(tmp_path, "full")
    assert all("No space for a checkpoint" in end for end in ends)


def test_processes_that_do_not_share_their_directory(tmp_path):
    ends = _train(tmp_path, "apart")
    message = "ValueError: workdir: its last step: the same in every process expected, got [0, 1]"
    assert [end.split(";")[0] for end in ends] == [message] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process=0/2"], "--distributed, --coordinator and --process belong together"),
        (["--distributed", "--coordinator=a:1"], "--process belong together"),
        (["--distributed", "--coordinator=a", "--process=0/2"], "HOST:PORT expected, got 'a'"),
        (["--distributed", "--coordinator=a:1", "--process=2/2"], "K/N with K from 0 to N-1"),
        (["--distributed", "--coordinator=a:1", "--process=one"], "e.g. 0/2, got 'one'"),
    ],
)
def test_bad_flags(arguments, message, capsys):
    assert run.main(["--config=sets/set1.py", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_no_cluster_and_no_flags(monkeypatch):
    def initialize():
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(ValueError, match=r"no cluster here .* by --coordinator=HOST:PORT and"):
        distributed.join({})
