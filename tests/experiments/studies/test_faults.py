"""The study of faults: what it takes for the same end, for a refusal, and its table.

The faults themselves are tried by the study alone, `python -m experiments.studies.faults`: each is
a run or two of the real command.
"""

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from experiments.studies.faults import __main__ as study
from experiments.studies.faults import places, signals, surroundings
from experiments.studies.faults.injection import Injection, expect_refusal
from experiments.studies.faults.trial import STEPS, Trial
from tests.tiny_run import prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What a run leaves, with two lines of a log."""
    folder = tmp_path_factory.mktemp("runs")
    config = tiny_config(prepare_data(folder / "data"))
    workdir = write_run(folder / "run", config)
    for path in workdir.glob("checkpoints/*/3"):
        (path / "decoding.json").write_text("{}")
    lines = [{"step": k, "loss": 0.5, "time": {"seconds_per_step": 0.1 * k}} for k in (1, 2)]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Trial(workdir, folder / "data")


@pytest.fixture
def other(finished, tmp_path):
    shutil.copytree(finished.workdir, tmp_path / "run")
    return Trial(tmp_path / "run", finished.data_root)


def test_a_trial_sees_how_far_its_run_is(other):
    assert (other.step, other.saved) == (2, 3)
    with (other.workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3')  # not written to its end yet
    assert other.step == 2
    other.remove()
    assert (other.step, other.saved) == (0, 0)


def test_runs_that_end_the_same(finished, other):
    log = other.workdir / "metrics.jsonl"
    log.write_text(log.read_text().replace("0.1", "0.7"))  # times may differ
    assert other.differences(finished) == []


def test_each_difference_is_named(finished, other):
    log = other.workdir / "metrics.jsonl"
    log.write_text(log.read_text().replace("0.5", "0.50001"))
    (other.workdir / "checkpoints/best/3/decoding.json").write_text("[]")
    (other.workdir / "checkpoints/last/3").rename(other.workdir / "checkpoints/last/4")
    assert other.differences(finished) == ["last: step [4] and [3]", "best: decoding", "log"]


def test_a_difference_of_one_bit_is_named(finished, other, monkeypatch):
    from experiments.studies.faults import trial

    def flipped(path, items, read=trial.read_arrays):
        arrays = read(path, items)
        if other.workdir in path.parents:
            name = sorted(arrays["params"])[0]
            arrays["params"][name].view(np.uint8).reshape(-1)[0] ^= 1
        return arrays

    monkeypatch.setattr(trial, "read_arrays", flipped)
    assert all("params/" in difference for difference in other.differences(finished))
    assert len(other.differences(finished)) == 2


@pytest.mark.parametrize(
    ("code", "passes"),
    [
        ("print('error: data.root is gone', file=sys.stderr); sys.exit(1)", True),
        ("print('error: data.root is gone', file=sys.stderr)", False),
        ("print('error: another', file=sys.stderr); sys.exit(1)", False),
        ("raise ValueError('error: data.root')", False),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(tmp_path, code, passes):
    trial = Trial(tmp_path / "run", tmp_path)
    with trial.said.open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", f"import sys; {code}"], stderr=said)
    if passes:
        expect_refusal(trial, process, "data.root")
    else:
        with pytest.raises(ValueError, match=r"run: exit code .*'data.root' expected"):
            expect_refusal(trial, process, "data.root")


def test_what_a_killed_run_was_doing(other):
    assert signals._phase(other, has_begun=False) == "while it started"
    assert signals._phase(other, has_begun=True) == "while it trained"
    (other.workdir / "checkpoints/best/4.orbax-checkpoint-tmp-1").mkdir()
    assert signals._phase(other, has_begun=True) == "while it saved"
    (other.workdir / "checkpoints/best/4.orbax-checkpoint-tmp-1").rmdir()
    (other.workdir / f"checkpoints/last/{STEPS}").mkdir()
    assert signals._phase(other, has_begun=True) == "while it tuned"


def test_one_row_for_all_of_a_kind(finished, other):
    found = [Injection(other, 3, 2.0), Injection(other, 5, 4.0), Injection(other, title="another")]
    rows = list(study._rows("kill", iter(found), finished))
    assert rows == [("kill", 2, 5, "3 (4)", "the same"), ("another", 1, 0, "", "the same")]
    (other.workdir / "checkpoints/best/3/decoding.json").write_text("[]")
    assert "differs: best: decoding" in next(study._rows("kill", iter(found), finished))[-1]


def test_every_fault_has_a_row():
    """Every function that injects some; kills have a row beside the table of faults."""
    injections = {
        function
        for module in (signals, places, surroundings)
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if inspect.signature(function).return_annotation == Iterator[Injection]
    }
    assert {signals.kills, signals.ignored_interrupt, places.damaged_checkpoint} <= injections
    assert injections - {signals.kills} <= set(study.FAULTS.values())


def test_an_unknown_fault_is_refused(capsys):
    assert study.main(["--only=flood"]) == 1
    assert "got 'flood'" in capsys.readouterr().err
