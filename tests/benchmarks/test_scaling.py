"""Cost curves: their points, and the ratios that the table shows."""

from dataclasses import asdict

import pytest

from experiments.benchmarks import scaling
from experiments.benchmarks.race import SideResult
from experiments.benchmarks.workload import Workload

WORK = Workload(batch_size=8)


def curve(axis, count=3):
    return scaling.curve(axis, scaling.POINTS[axis]["cpu"][:count], WORK, "float32", "cpu")


@pytest.mark.parametrize("axis", scaling.POINTS)
def test_points_change_one_size(axis):
    for side in curve(axis, count=9):
        changed = {k: v for k, v in asdict(side.work).items() if v != asdict(WORK)[k]}
        assert len(changed) <= (axis != "devices")
        assert ("XLA_FLAGS" in side.environment) == (axis == "devices")
        assert side.labels["axis"] == axis


def test_frames_are_those_asked_for():
    assert all(side.work.num_frames == side.labels["point"] for side in curve("frames"))


def test_devices_are_simulated_beside_the_flags_that_are_set(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    expected = "--xla_dump_to=here --xla_force_host_platform_device_count=4"
    assert curve("devices")[-1].environment["XLA_FLAGS"] == expected


def ratios(axis, *seconds) -> list[dict]:
    """What the rows of a curve have, None in place of a side that failed."""
    sides = curve(axis, len(seconds))
    results = [SideResult(side, [s] if s else []) for side, s in zip(sides, seconds, strict=True)]
    return [scaling.more(result, results) for result in results if result.seconds]


def test_ratios_are_to_the_first_point_in_proportion():
    rows = ratios("batch", 2.0, 3.0, 6.0)
    assert [row["of_linear"] for row in rows] == [1, 0.75, 0.75]
    assert [row["seconds_per_example"] for row in rows] == [2.0, 1.5, 1.5]


def test_more_simulated_devices_are_compared_with_one():
    rows = ratios("devices", 4.0, 5.0)
    assert [row["of_linear"] for row in rows] == [1, 1.25]
    assert [row["seconds_per_example"] for row in rows] == [0.5, 0.625]


def test_a_point_that_failed_is_left_out_of_the_ratios():
    assert [row["of_linear"] for row in ratios("batch", None, 4.0, 6.0)] == [1, 0.75]


def test_an_unknown_axis(capsys):
    assert scaling.main(["--small", "--axes=batch,height"]) == 1
    message = "axes: among batch, frames, instruments, devices, got 'height'"
    assert message in capsys.readouterr().err
