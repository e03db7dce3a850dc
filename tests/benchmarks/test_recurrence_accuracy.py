"""How far the paths are from float64: the reference, the figures, what happens to failures."""

import json
import subprocess
from dataclasses import replace

import jax
import numpy as np
import pytest

from cerberus_jax.lstm import persistent
from experiments.benchmarks import recurrence
from experiments.benchmarks import recurrence_accuracy as accuracy
from experiments.benchmarks.figures import read
from experiments.benchmarks.workload import SMALL

WORK = replace(SMALL, seconds=0.02)
# Of the largest number; bfloat16 keeps 8 bits.
BOUNDS = {"float32": 1e-6, "bfloat16": 2**-7}


@pytest.mark.parametrize("contestant", accuracy.contestants("cpu"), ids=" ".join)
def test_every_path_is_as_exact_as_its_precision(contestant):
    found = accuracy.errors(WORK, *contestant)
    assert set(found) == {"values", "gradients"}
    assert all(0 < error < BOUNDS[contestant[1]] for error in found.values())


def test_bfloat16_is_told_from_float32():
    rounded, full = (accuracy.errors(WORK, "scan", p)["values"] for p in ("bfloat16", "float32"))
    assert rounded > 100 * full


def test_the_reference_equals_finite_differences():
    """In numpy, step by step, of a single number."""
    inputs, kernel, cotangent = (np.asarray(a, np.float64) for a in accuracy.arrays(WORK))

    def hidden(inputs):
        state = cell = np.zeros((2, *inputs.shape[2:3], WORK.hidden))
        states = []
        for step in range(inputs.shape[1]):
            gates = inputs[:, step] + state @ kernel
            in_gate, forget, update, out_gate = np.split(gates, 4, -1)
            sigmoids = [1 / (1 + np.exp(-gate)) for gate in (in_gate, forget, out_gate)]
            cell = sigmoids[1] * cell + sigmoids[0] * np.tanh(update)
            state = sigmoids[2] * np.tanh(cell)
            states.append(state)
        return np.stack(states, 1)

    values, gradients = accuracy.reference(WORK)
    assert values.dtype == gradients.dtype == np.float64
    np.testing.assert_allclose(values, hidden(inputs), atol=1e-12)
    change = np.random.default_rng(0).standard_normal(inputs.shape)
    ends = [(hidden(inputs + sign * 1e-5 * change) * cotangent).sum() for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose((gradients * change).sum(), slope, rtol=1e-7)


def test_a_gpu_races_the_kernel_last():
    assert accuracy.contestants("gpu")[-1] == ("persistent", "bfloat16")
    interpreted = [one for one in accuracy.contestants("cpu") if one[0] == accuracy.INTERPRETED]
    assert len(interpreted) == 2 * (jax.__version__ in persistent.TESTED_JAX)


def test_a_path_that_does_not_run_here():
    with pytest.raises(ValueError, match="'persistent' does not run here, 'scan' would instead"):
        accuracy.errors(WORK, "persistent", "bfloat16")


def test_those_that_a_crash_leaves_out_say_why(monkeypatch):
    first = {"backend": "scan", "precision": "float32", "values": 1e-7, "gradients": 1e-7}
    done = subprocess.CompletedProcess([], -11, json.dumps(first) + "\n", "segmentation fault")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    found = list(accuracy.measure("cpu", WORK, limit_seconds=10))
    assert found[0] == first
    assert [(one["backend"], one["precision"]) for one in found] == accuracy.contestants("cpu")
    assert all(one["error"] == "ended with code -11: segmentation fault" for one in found[1:])


def test_a_hang_leaves_what_was_known(monkeypatch):
    def hangs(*_, timeout, **__):
        line = b'{"backend": "scan", "precision": "float32", "values": 1e-7, "gradients": 1e-7}\n'
        raise subprocess.TimeoutExpired("python", timeout, output=line)

    monkeypatch.setattr(subprocess, "run", hangs)
    found = list(accuracy.measure("cpu", WORK, limit_seconds=10))
    assert found[0]["values"] == 1e-7
    assert {one["error"] for one in found[1:]} == {"silent after 10 s"}


def test_the_benchmark_shows_the_errors_and_names_failures(tmp_path, monkeypatch, capsys):
    measured = [
        {"backend": "scan", "precision": "float32", "values": 1e-7, "gradients": 2e-7},
        {"backend": "persistent", "precision": "bfloat16", "error": "out of luck"},
    ]
    monkeypatch.setattr(accuracy, "measure", lambda *_, **__: iter(measured))
    path = tmp_path / "recurrence.json"
    assert recurrence.main(["--small", "--parts=accuracy", f"--out={path}"]) == 0
    rows = read(path).rows
    assert [(one["passes"], one["median"]) for one in rows] == [
        ("values", 1e-7),
        ("gradients", 2e-7),
    ]
    table = capsys.readouterr().out
    assert "largest relative error" in table and "2.0e-07" in table
    assert "cerberus_jax persistent, bfloat16, accuracy, failed: out of luck" in table


def test_the_process_measures_every_contestant():
    found = list(accuracy.measure("cpu", WORK, limit_seconds=120))
    assert [(one["backend"], one["precision"]) for one in found] == accuracy.contestants("cpu")
    assert all(0 < one["gradients"] < BOUNDS[one["precision"]] for one in found)
