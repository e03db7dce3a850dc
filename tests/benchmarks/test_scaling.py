"""Cost curves: their points, and the ratios that the table shows."""

import pytest

from experiments.benchmarks import command, scaling
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import Workload


def options(device="cpu", small=False):
    return command.Options(
        device=device, small=small, rounds=1, repeat=1, peer_python="", torch=None, out=""
    )  # fmt: skip


@pytest.mark.parametrize("axis", scaling.POINTS["cpu"])
def test_points_change_one_size(axis):
    points = scaling.points_of(axis, Workload(), options())
    assert [point.value for point in points] == sorted(scaling.POINTS["cpu"][axis])
    assert all(len(point.sizes) == (axis != "devices") for point in points)
    assert all(bool(point.environment) == (axis == "devices") for point in points)


def test_frames_are_those_asked_for():
    for point in scaling.points_of("frames", Workload(), options()):
        assert Workload(**point.sizes).num_frames == point.value


def test_devices_are_simulated_beside_the_flags_that_are_set(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=here")
    last = scaling.points_of("devices", Workload(), options())[-1]
    expected = "--xla_dump_to=here --xla_force_host_platform_device_count=8"
    assert last.environment["XLA_FLAGS"] == expected


def results(*seconds):
    """A result per point; None failed."""
    return [
        SideResult(Side("point", "factory"), seconds=[one], disturbance=[0.0], cpu_seconds=[one])
        if one
        else SideResult(Side("point", "factory"), error="broken")
        for one in seconds
    ]


def test_ratios_are_to_the_first_point_in_proportion():
    points = scaling.points_of("batch", Workload(), options())[:3]
    rows = scaling.rows(points, results(2.0, 3.0, 6.0), Workload())
    assert [row["of_linear"] for row in rows] == [1, 0.75, 0.75]
    assert [row["seconds_per_example"] for row in rows] == [2.0, 1.5, 1.5]
    assert [row.get("slope") for row in rows] == [None, 1.0, 1.5]


def test_more_simulated_devices_are_compared_with_one():
    points = scaling.points_of("devices", Workload(batch_size=8), options())[:2]
    rows = scaling.rows(points, results(4.0, 5.0), Workload(batch_size=8))
    assert [row["of_linear"] for row in rows] == [1, 1.25]
    assert [row["seconds_per_example"] for row in rows] == [0.5, 0.625]


def test_a_point_that_failed_is_left_out_of_the_ratios():
    points = scaling.points_of("batch", Workload(), options())[:3]
    rows = scaling.rows(points, results(None, 4.0, 6.0), Workload())
    assert [row.get("of_linear") for row in rows] == [None, 1, 0.75]
    assert rows[0]["error"] == "broken" and rows[0]["median"] is None


def test_an_unknown_axis(capsys):
    assert scaling.main(["--small", "--axes=batch,height"]) == 1
    message = "axes: among batch, frames, instruments, devices, got 'height'"
    assert message in capsys.readouterr().err
