"""A run in several genuine processes: what one process would do, and no hanging.

`python -m tests.several_processes` compares more of them, over more steps.
"""

import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cerberus_jax import checkpoint, processes
from cerberus_jax.checkpoint_integrity import read_arrays
from experiments import evaluate, run
from experiments.config.loading import load_config
from experiments.runtime import distributed
from experiments.training.metric_log import read_metrics
from tests import ROOT
from tests.experiments.runtime.test_meeting import free_port
from tests.waiting import MAX_SECONDS

STEPS = 7


def start(workdir, *more, steps=STEPS, count=2):
    """The processes of a run in float64, with one device each."""
    coordinator = f"localhost:{free_port()}"
    one_device = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "JAX_ENABLE_X64": "1"}
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.distributed_checks"),
                *(str(workdir), str(steps), coordinator, f"{number}/{count}", *more),
            ],
            cwd=ROOT,
            env=os.environ | one_device,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


def train(workdir, *more, steps=STEPS, count=2, code=0):
    """What each of the processes prints at its end; each must end with this exit code."""
    running = start(workdir, *more, steps=steps, count=count)
    try:
        ends = [process.communicate(timeout=MAX_SECONDS) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (_, stderr) in zip(running, ends, strict=True):
        assert process.returncode == code, stderr[-3000:]
    return [stdout.splitlines()[-1] for stdout, _ in ends]


def difference(one, other, step):
    """The largest of all arrays of two checkpoints, which must hold the same ones."""
    folders = [run / "checkpoints" / "last" / str(step) for run in (one, other)]
    left, right = (read_arrays(folder, ("params", "training")) for folder in folders)
    assert left["params"].keys() == right["params"].keys()
    assert left["training"].keys() == right["training"].keys()
    assert {array.dtype.name for array in left["params"].values()} == {"float64"}
    return max(
        float(np.max(np.abs(left[item][name] - right[item][name]), initial=0.0))
        for item in left
        for name in left[item]
    )


def assert_same_log(one, other, **tolerance):
    entries = read_metrics(one), read_metrics(other)
    assert [entry["step"] for entry in entries[0]] == [entry["step"] for entry in entries[1]]
    for left, right in zip(*entries, strict=True):
        assert left.keys() == right.keys()
        numbers = [name for name, value in left.items() if isinstance(value, float)]
        assert "loss" in numbers and "gradient_norm" in numbers
        for name in numbers:
            assert left[name] == pytest.approx(right[name], **tolerance), name


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The run of one process."""
    folder = tmp_path_factory.mktemp("single")
    assert train(folder, count=1) == ["finished"]
    return folder


def test_a_process_that_dies_ends_the_others_and_three_go_on_the_same(single, tmp_path):
    running = start(tmp_path, "kill 0")
    (_, killed), (_, other) = (process.communicate(timeout=MAX_SECONDS) for process in running)
    assert running[0].returncode == -9
    assert running[1].returncode > 0
    assert killed == ""
    (line,) = filter(None, other.splitlines())
    assert "error: process 0 of this run has ended" in line or "error: another process" in line
    assert "same command" in line
    assert checkpoint.saved_steps(tmp_path)["last"] == 4
    assert train(tmp_path, count=3) == ["finished"] * 3
    assert difference(single, tmp_path, STEPS) < 1e-9
    assert_same_log(single, tmp_path, rel=1e-9)
    assert checkpoint.saved_steps(single) == checkpoint.saved_steps(tmp_path)


def test_a_signal_to_one_process_stops_all_and_one_goes_on_the_same(single, tmp_path):
    assert train(tmp_path, "stop", code=1) == ["KeyboardInterrupt: "] * 2
    assert checkpoint.saved_steps(tmp_path)["last"] in (2, 4)  # where lines are logged
    assert train(tmp_path, count=1) == ["finished"]
    assert difference(single, tmp_path, STEPS) < 1e-9
    assert_same_log(single, tmp_path, rel=1e-9)


def test_a_disk_that_one_process_finds_full_ends_all(tmp_path):
    ends = train(tmp_path, "full", code=1)
    assert all("No space for a checkpoint" in end for end in ends)


def test_processes_that_do_not_share_their_directory(tmp_path):
    ends = train(tmp_path, "apart", code=1)
    message = "ValueError: workdir: its last step: the same in every process expected, got [0, 1]"
    assert [end.split(";")[0] for end in ends] == [message] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--process=0/2"], "--distributed, --coordinator and --process belong together"),
        (["--distributed", "--coordinator=a:1"], "--process belong together"),
        (["--distributed", "--coordinator=a", "--process=0/2"], "HOST:PORT expected, got 'a'"),
        (["--distributed", "--coordinator=a:0", "--process=0/2"], "HOST:PORT expected, got 'a:0'"),
        (["--distributed", "--coordinator=a:1", "--process=2/2"], "K/N with K from 0 to N-1"),
        (["--distributed", "--coordinator=a:1", "--process=one"], "e.g. 0/2, got 'one'"),
        (["--heartbeat_timeout=0"], "heartbeat_timeout"),
    ],
)
@pytest.mark.parametrize(
    ("command", "required"),
    [(run.main, "--config=sets/set1.py"), (evaluate.main, "--workdir=runs/none")],
)
def test_bad_flags(command, required, arguments, message, capsys):
    assert command([required, *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.fixture
def joining(monkeypatch):
    """Joins with flags, but for what would change this process; gives what JAX was asked."""
    asked = []
    monkeypatch.setattr(distributed.lost_process, "replace_reports", lambda: None)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: asked.append(options))
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)

    def join(*arguments):
        flags = run._flags()
        flags(["", "--distributed", *arguments])
        distributed.join(flags)
        return asked[-1]

    return join


def test_flags_reach_jax(joining):
    place = (f"--coordinator=localhost:{free_port()}", "--process=0/1")
    options = joining(*place, "--heartbeat_timeout=7", "--start_timeout=8")
    assert options["num_processes"] == 1 and options["process_id"] == 0
    assert options["heartbeat_timeout_seconds"] == 7
    assert options["initialization_timeout"] == 8


def test_a_cluster_says_the_rest(joining):
    assert "process_id" not in joining()


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({}, "no variables of SLURM, Open MPI, Kubernetes or Cloud TPU"),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2"}, "SLURM_STEP_NODELIST, SLURM_PROCID, SLURM_"),
    ],
)
def test_no_cluster_and_no_flags(joining, monkeypatch, variables, missing):
    def initialize(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"no cluster here .*{missing}.* by --coordinator=HOST:P"):
        joining()


def test_slurm_is_found_by_jax_itself(monkeypatch):
    """JAX's own detection, of the variables that the message above asks for."""
    from jax._src.clusters import ClusterEnv

    values = {"JOB_ID": "5", "STEP_NODELIST": "gpu[07-08]", "NTASKS": "4", "PROCID": "3"}
    for name, value in (values | {"LOCALID": "1"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, 1)
    assert found == ("gpu07:61445", 4, 3, [1])


def test_a_config_that_differs_is_refused(monkeypatch):
    config = load_config("sets/set1.py")
    other = load_config("sets/set1.py", {"batch_size": 8, "seed": 3})
    monkeypatch.setattr(processes, "exchange", lambda name, here: [here, texts(other)])
    texts = lambda of: distributed.json.dumps(distributed.flatten(of))  # noqa: E731
    with pytest.raises(ValueError, match="seed: 0 in process 0, 3 in process 1") as raised:
        distributed.check_same_config(config)
    assert "batch_size: 40 in process 0, 8 in process 1" in str(raised.value)
    monkeypatch.setattr(processes, "exchange", lambda name, here: [here, here])
    distributed.check_same_config(config)


def test_a_single_process_leaves_as_it_is():
    assert distributed.leaving(lambda: 3) == 3
    with pytest.raises(KeyError):
        distributed.leaving(lambda: {}["a bug"])


def test_an_error_of_a_single_process_stays_what_it_is():
    error = ValueError("Gloo AllGather failed")
    with pytest.raises(ValueError, match="Gloo"), distributed.ending_together():
        raise error


def test_texts_that_are_exchanged(monkeypatch):
    """With a store in place of JAX's."""
    store = {"config/1": "b"}
    client = SimpleNamespace(
        key_value_set=store.__setitem__,
        key_value_dir_get=lambda prefix: [kv for kv in store.items() if kv[0].startswith(prefix)],
    )
    monkeypatch.setattr(processes.multihost, "get_jax_distributed_client", lambda: client)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert processes.exchange("config", "a") == ["a", "b"]
    assert processes.exchange("end", "0", seconds=0.1) is None

    def gone(*_):
        raise RuntimeError("UNAVAILABLE")

    client.key_value_dir_get = gone
    assert processes.exchange("end", "0") is None


@pytest.mark.parametrize("is_first", [True, False])
def test_of_several_processes_the_first_alone_scores(tmp_path, monkeypatch, capsys, is_first):
    scored = []
    monkeypatch.setattr(distributed, "join", lambda flags: None)
    monkeypatch.setattr(distributed, "is_first", lambda: is_first)
    monkeypatch.setattr(evaluate, "keep_compiled", lambda: None)
    monkeypatch.setattr(evaluate, "evaluate", lambda *_, **__: scored.append(True) or {})
    monkeypatch.setattr(evaluate, "results_table", lambda results: "table")
    assert evaluate.main([f"--workdir={tmp_path}", "--distributed"]) == 0
    assert len(scored) == is_first
    assert ("table" in capsys.readouterr().out) == is_first
