"""The recurrence benchmark: its parts, and how far the backends are from float64."""

from dataclasses import replace

import numpy as np
import pytest

from cerberus_jax.lstm import EXPERIMENTAL
from experiments.benchmarks import command, recurrence, sides
from experiments.benchmarks import recurrence_accuracy as accuracy
from experiments.benchmarks.child import ChildFailed
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.result import Result
from experiments.benchmarks.workload import SMALL, Workload
from tests.benchmarks.test_command import MACHINE

WORK = replace(SMALL, seconds=0.02)
# Of the largest number; bfloat16 keeps 8 bits.
BOUNDS = {"float32": 1e-6, "bfloat16": 2**-7}


@pytest.mark.parametrize(("part", "layers", "width"), [("loop", 1, 1), ("trunk", 4, 513)])
@pytest.mark.parametrize(("mode", "passes"), [("forward", 1), ("gradient", 2)])
def test_time_is_divided_by_the_steps_that_follow_one_another(part, layers, width, mode, passes):
    work = recurrence.part_of(part, Workload())
    assert (work.num_bins, work.num_frames) == (width, 313)
    measured = SideResult(Side("x", "a:b", work, mode), seconds=[1.0])
    steps = 313 * layers * passes
    assert recurrence.more(measured, [])["step_microseconds"] == pytest.approx(1e6 / steps)


@pytest.mark.parametrize("contestant", accuracy.contestants("cpu"), ids=" ".join)
def test_every_backend_is_as_exact_as_its_precision(contestant):
    errors = accuracy.errors(WORK, *contestant)
    assert set(errors) == {"values", "gradients"}
    assert all(0 < error < BOUNDS[contestant[1]] for error in errors.values())


def test_bfloat16_is_told_from_float32():
    rounded, full = (accuracy.errors(WORK, "scan", p)["values"] for p in ("bfloat16", "float32"))
    assert rounded > 100 * full


def test_float64_equals_finite_differences():
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

    values, gradients = accuracy.in_float64(WORK)
    assert values.dtype == gradients.dtype == np.float64
    np.testing.assert_allclose(values, hidden(inputs), atol=1e-12)
    change = np.random.default_rng(0).standard_normal(inputs.shape)
    ends = [(hidden(inputs + sign * 1e-5 * change) * cotangent).sum() for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose((gradients * change).sum(), slope, rtol=1e-7)


def test_a_gpu_measures_the_kernel_last():
    assert accuracy.contestants("gpu")[-1] == (EXPERIMENTAL, "bfloat16")


def test_a_backend_that_does_not_run_here():
    with pytest.raises(ValueError, match="experimental_persistent' does not run here, 'auto'"):
        accuracy.errors(WORK, EXPERIMENTAL, "bfloat16")


def test_the_table_has_the_errors_and_names_what_a_crash_left_out(monkeypatch):
    def crashing(*_, **__):
        yield {"backend": "scan", "precision": "float32", "values": 1e-7, "gradients": 2e-7}
        raise ChildFailed("ended with code -11: segmentation fault")

    monkeypatch.setattr(accuracy, "answers", crashing)
    result = Result("recurrence", {}, {})
    recurrence.add_accuracy(result, "cpu", WORK, 10)
    errors = [(row["passes"], row["relative_error"]) for row in result.rows]
    assert errors == [("values", 1e-7), ("gradients", 2e-7)]
    left_out = accuracy.contestants("cpu")[1:]
    assert result.notes == [
        f"cerberus_jax {name}, {precision}, accuracy, failed: "
        "ended with code -11: segmentation fault"
        for name, precision in left_out
    ]


def test_the_process_measures_every_contestant():
    answers = list(accuracy.measure("cpu", WORK, limit_seconds=120))
    contestants = [(answer["backend"], answer["precision"]) for answer in answers]
    assert contestants == accuracy.contestants("cpu")
    assert all(0 < answer["gradients"] < BOUNDS[answer["precision"]] for answer in answers)


@pytest.mark.parametrize(
    ("flags", "raced", "has_accuracy"),
    [
        ([], ["loop", "trunk"], True),
        (["--parts=loop"], ["loop"], False),
        (["--parts=accuracy,trunk"], ["trunk"], True),
        (["--parts=accuracy"], [], True),
    ],
)
def test_the_parts_that_are_asked_for_are_measured(monkeypatch, flags, raced, has_accuracy):
    held, exact = [], []
    monkeypatch.setattr(command.machine, "measure", lambda device, small: MACHINE)
    monkeypatch.setattr(sides, "torch_version", lambda python: "")
    monkeypatch.setattr(command.Session, "hold", lambda self, races, more: held.append(races))
    monkeypatch.setattr(recurrence, "add_accuracy", lambda *arguments: exact.append(arguments))
    assert recurrence.main(["--small", "--precision=float32", *flags]) == 0
    labels = [{tuple(side.labels.values()) for side in contest} for contest in held[0]]
    passes = recurrence.PASSES.values()
    assert labels == [{(part, kind)} for part in raced for kind in passes]
    assert len(exact) == has_accuracy


def test_a_part_that_there_is_not(monkeypatch, capsys):
    assert recurrence.main(["--small", "--parts=trunk,attention"]) == 1
    message = "parts: among accuracy, loop, trunk, got 'attention'"
    assert message in capsys.readouterr().err
