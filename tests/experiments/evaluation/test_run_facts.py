"""What a report says of a run besides its scores."""

import json
import os
from datetime import UTC, datetime, timedelta

import jax
import pytest

from cerberus_jax.checkpoint import restore_model
from experiments.config.loading import load_config, load_run_config
from experiments.evaluation.run_facts import UNKNOWN, duration, run_facts, training_time
from experiments.training.sessions import SESSIONS_FILE, keep_session, read_sessions
from tests.tiny_run import tiny_config, write_run


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (28 * 60 + 31, "29 min"),
        (7300, "2 h 2 min"),
        (6.2e5, "7.2 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_time_is_that_of_the_steps():
    metrics = [{"step": 10, "time": {"seconds_per_step": 2.0}}]
    metrics += [{"step": 40, "time": {"seconds_per_step": 4.0}}, {"step": 50, "time": {}}]
    assert training_time(metrics, 99) == "50 of 99 steps in 2 min, 2.8 s a step"
    assert training_time([{"step": 5}], 9) == "5 of 9 steps"
    assert training_time([], 9) == "0 of 9 steps"


def test_an_untrained_run_and_one_without_sessions(tmp_path):
    config = load_config("sets/set1.py")
    facts = run_facts(tmp_path, config, [])
    assert facts["date"] == facts["device"] == UNKNOWN and facts["checkpoint"] == "none"
    log = tmp_path / "metrics.jsonl"
    log.touch()
    os.utime(log, (1e9, 1e9))
    assert "2001-09-09 01:46 UTC" in run_facts(tmp_path, config, [])["date"]


def test_size_and_sessions(tmp_path):
    workdir = write_run(tmp_path / "run", tiny_config(tmp_path))
    before = datetime.now(UTC) - timedelta(seconds=2)
    for step in (0, 3):
        keep_session(workdir, first_step=step)
    first, second = read_sessions(workdir)
    assert (first["first_step"], second["first_step"]) == (0, 3)
    assert before <= datetime.fromisoformat(first["began"]) <= datetime.now(UTC)
    assert first["versions"]["jax"] == jax.__version__
    facts = run_facts(workdir, load_run_config(workdir), [])
    assert facts["device"] == f"{jax.device_count()} x {jax.devices()[0].device_kind} (cpu)"
    assert "gone on with" in facts["date"]
    _, params, _ = restore_model(workdir)
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert facts["network"].startswith(f"{count / 1e6:.2f} M parameters")
    assert facts["checkpoint"].startswith("best: step 3, ")


@pytest.mark.parametrize("line", ["{}", "x", json.dumps({"began": "today"}), "[1]"])
def test_another_file_of_sessions_is_named(tmp_path, line):
    (tmp_path / SESSIONS_FILE).write_text(line + "\n")
    with pytest.raises(ValueError, match=r"sessions.jsonl: not the sessions of a run .*remove it"):
        read_sessions(tmp_path)
