"""What the commands that race share: who takes part, how they compare, what is refused."""

import os
import sys
import time

import pytest

from experiments.benchmarks import command, machine, ours, sides, train_step
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.result import Result
from experiments.benchmarks.sides import EAGER, PUBLISHED
from experiments.benchmarks.workload import SMALL

MACHINE = {
    "device": "a processor, 2 cores",
    "versions": {"Python": "3.11.7", "JAX": "0.10.2"},
    "date": "2026-11-25",
    "commit": "abc1234",
    "load": 0.1,
    "product_flops": {"float32": 1e11, "tf32": 1e11, "bfloat16": 1e11},
    "copy_bytes": 1e10,
}
FORMS = {PUBLISHED: (PUBLISHED,), EAGER: (), "compile": ("compile",)}


@pytest.fixture
def session(monkeypatch):
    """Makes sessions on a machine that is known, with a PyTorch."""
    monkeypatch.setattr(machine, "measure", lambda device, small: MACHINE)
    monkeypatch.setattr(sides, "torch_version", lambda python: "2.13")

    def make(*arguments):
        flags = command.race_flags("x", "", "y")
        flags(["x", *arguments])
        return command.Session("x", flags, command.COLUMNS, SMALL)

    return make


def contest(session, precision) -> list[Side]:
    who = {"forms": FORMS, "ours": {"cerberus_jax": {}}, "labels": {"batch": 2}}
    return session.contest(SMALL, "train", precision, **who)


def shown(contestants) -> list[str]:
    return [f"{side.name} {side.precision}" for side in contestants]


def test_who_races(session):
    assert session().precisions == ["float32", "bfloat16"]
    contestants = contest(session(), "bfloat16")
    assert shown(contestants) == [
        "PyTorch published float32",
        "PyTorch eager bfloat16",
        "PyTorch compile bfloat16",
        "cerberus_jax bfloat16",
    ]
    assert all(side.labels == {"batch": 2} for side in contestants)
    assert contestants[2].settings["variants"] == ["compile", "bf16"]
    assert contestants[3].settings["precision"] == "bfloat16"


def test_who_races_on_a_gpu(session):
    on_gpu = session("--device=gpu", "--precision=tf32")
    assert on_gpu.precisions == ["tf32"]
    *rivals, own = contest(on_gpu, "tf32")
    assert {side.precision for side in rivals} == {"tf32"}
    assert own.environment["JAX_DEFAULT_MATMUL_PRECISION"] == "tensorfloat32"
    assert own.environment["JAX_PLATFORMS"] == "cuda"
    assert own.settings["precision"] == "float32"


def test_without_pytorch_this_project_races_alone_and_the_table_says_why(session, monkeypatch):
    monkeypatch.setattr(sides, "torch_version", lambda python: None)
    alone = session("--peer_python=bare")
    assert shown(contest(alone, "float32")) == ["cerberus_jax float32"]
    assert alone.result.notes == ["PyTorch is left out: bare has none (--peer_python=PYTHON)"]


def test_another_checkout_races_too(session, tmp_path):
    _, _, _, own, old = contest(session(f"--against={tmp_path}"), "float32")
    assert (own.name, old.name) == ("cerberus_jax", f"cerberus_jax of {tmp_path.name}")
    assert old.tree == tmp_path != own.tree


def test_large_pages_are_for_training_on_a_cpu(monkeypatch):
    monkeypatch.setattr(sides, "on_request_only", lambda: True)
    for mode, device in (("train", "cpu"), ("infer", "cpu"), ("train", "gpu")):
        variables = sides.ours("a", SMALL, mode, "bfloat16", device).environment
        expected = (mode, device) == ("train", "cpu")
        assert ("hugetlb=1" in variables.get("GLIBC_TUNABLES", "")) is expected


def result(name, seconds, peak_mb, *, factory=sides.PEER, precision="float32") -> SideResult:
    side = Side(name, factory, SMALL, "train", precision=precision)
    return SideResult(side, seconds, seconds, peak_mb)


def test_comparisons():
    results = [
        result("PyTorch published", [8.0, 8.0], 1000),
        result("PyTorch eager", [6.0, 4.0], 900),
        result("PyTorch compile", [3.0, 3.0], 600, precision="bfloat16"),
        result("cerberus_jax", [4.0, 1.0], 500, factory=sides.OURS),
        result("cerberus_jax", [2.0, 2.0], 300, factory=sides.OURS, precision="bfloat16"),
        SideResult(Side("PyTorch eager", sides.PEER, SMALL, "train"), error="no memory"),
    ]
    assert sides.comparisons(results[3], results) == {
        "times_published": 8.0 / 2.5,
        "memory_of_published": 0.5,
        "times_best_peer": 2.0,
        "times_best_peer_by_round": (1.5 + 4.0) / 2,
        "memory_of_leanest_peer": 500 / 900,
    }
    half = sides.comparisons(results[4], results)
    assert (half["times_published"], half["times_best_peer"]) == (4.0, 1.5)
    assert half["memory_of_leanest_peer"] == 0.5
    assert sides.comparisons(results[3], results[3:4]) == {}


def test_races_get_their_share_of_the_time_and_their_rows(session, monkeypatch, capsys, tmp_path):
    limits = []

    def race(contestants, *, limit_seconds, **_):
        limits.append(limit_seconds)
        monkeypatch.setattr(time, "monotonic", lambda: session_.end)  # takes all of the time
        rows = [result(side.name, [1.0], 10.0, factory=side.factory) for side in contestants]
        rows[1] = SideResult(contestants[1], error="Traceback\n  line\nValueError: why")
        return rows

    monkeypatch.setattr(command, "race", race)
    session_ = session("--budget=2", f"--out={tmp_path / 'x.json'}")
    races = [contest(session_, "float32")] * 3
    session_.hold(races, lambda measured, results: {"of_race": len(results)})
    assert limits == [pytest.approx(40, abs=1)]
    rows = session_.result.rows
    assert len(rows) == 12
    assert [row.get("of_race") for row in rows[:4]] == [4, None, 4, 4]
    assert rows[3]["times_best_peer"] == 1.0 and rows[3]["roofline_percent"] > 0
    assert all(row["error"] == command.TIME_WAS_UP for row in rows[4:])
    assert "* PyTorch eager, float32, 2, failed: ValueError: why" in capsys.readouterr().out
    assert (tmp_path / "x.md").exists()


def test_a_session_that_measured_nothing_of_this_project_has_failed(session, monkeypatch):
    def race(contestants, **_):
        results = [result(side.name, [1.0], 1.0) for side in contestants[:-1]]
        return [*results, SideResult(contestants[-1], error="no luck")]

    monkeypatch.setattr(command, "race", race)
    empty = session()
    with pytest.raises(
        ValueError, match="nothing was measured of cerberus_jax: cerberus_jax, floa"
    ):
        empty.hold([contest(empty, "float32")], lambda *_: {})


def test_the_table_leaves_out_what_no_row_has(tmp_path):
    columns = {"side": ("side", ""), "s": ("median", ".2f"), "GB": ("gb", "")}
    rows = [{"side": "fast", "median": 0.5}, {"side": "broken", "median": None}]
    table = Result("speed", MACHINE, columns, {}, rows, ["broken failed: why"])
    assert table.markdown().splitlines() == [
        "speed: a processor, 2 cores; Python 3.11.7, JAX 0.10.2; 2026-11-25, commit abc1234, "
        "load 0.1 at the start",
        "",
        "| side | s |",
        "| --- | --- |",
        "| fast | 0.50 |",
        "| broken |  |",
        "",
        "* broken failed: why",
    ]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--device=tpu", "--device=tpu: value should be one of <cpu|gpu>"),
        ("--batch=many", "batch: positive whole numbers expected, e.g. 8,16, got 'many'"),
        ("--batch=0", "batch: positive whole numbers expected"),
        ("--rounds=0", "--rounds=0"),
        ("--budget=0", "budget: a positive number of minutes expected, got 0"),
        ("--precision=half", "precision: among float32, bfloat16, got 'half'"),
        ("--peer_python=/no/python", "peer_python: a Python with PyTorch expected"),
    ],
)
def test_wrong_flags(flag, message, capsys):
    assert train_step.main([flag]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_gpu_that_is_not_there(monkeypatch, capsys):
    """In one line, before anything is measured."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert train_step.main(["--small", "--device=gpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: device: a gpu that JAX can use expected, found none (")
    assert len(error.splitlines()) == 1


def test_torch_is_looked_for_in_the_peers_python(tmp_path, monkeypatch):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 2.13.0\n")
    fake.chmod(0o755)
    assert sides.torch_version(str(fake)) == "2.13.0"
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert sides.torch_version(str(fake)) is None
    monkeypatch.chdir(tmp_path)
    relative = os.path.relpath(sys.executable, tmp_path)
    assert sides.torch_version(relative) == sides.torch_version(sys.executable)


def test_a_backend_is_not_measured_in_the_name_of_another():
    for mode in ("train", "forward"):
        with pytest.raises(ValueError, match="'experimental_persistent' does not run here"):
            ours.make(SMALL, mode, recurrence="experimental_persistent", precision="bfloat16")
