"""The commands that race, at a tiny size: their tables, files and errors."""

import importlib
import os
import sys

import pytest

from experiments.benchmarks import (
    command,
    contest,
    figures,
    inference,
    machine,
    ours,
    sides,
    train_step,
)
from experiments.benchmarks.race import Side, SideResult
from experiments.benchmarks.workload import SMALL


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.setattr(command, "torch_version", lambda python: None)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("train_step", ["cerberus_jax"]),
        ("inference", ["cerberus_jax windows", "cerberus_jax whole song"]),
    ],
)
def test_a_small_run_without_pytorch(name, names, no_torch, tmp_path, capsys):
    module = importlib.import_module(f"experiments.benchmarks.{name}")
    file = tmp_path / "figures.json"
    argv = ["--small", "--precision=float32", f"--out={file}"]
    assert module.main(argv) == 0
    table = capsys.readouterr().out
    assert "no PyTorch in" in table
    found = figures.read(file)
    assert found.benchmark == name
    assert [row["side"] for row in found.rows] == names
    for row in found.rows:
        assert row["error"] is None
        assert row["median"] > 0
        assert 0 < row["roofline_percent"] < 100
        assert row["name"].startswith(f"{row['side']}, float32, ")
        assert f"| {row['side']} | float32 |" in table
    assert file.with_suffix(".md").read_text() == table


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--device=tpu", "device: one of cpu, gpu, got 'tpu'"),
        ("--batch=many", "batch: positive whole numbers expected, e.g. 8 or 8,16, got 'many'"),
        ("--batch=0", "batch: positive whole numbers expected"),
        ("--rounds=1,2", "rounds: one whole number expected, got '1,2'"),
        ("--forms=jit", "forms: among published, eager, compile, got 'jit'"),
        ("--precision=half", "precision: among float32, bfloat16, got 'half'"),
        ("--ours=fast", "ours: NAME=VALUE,NAME=VALUE expected, got 'fast'"),
        ("--peer_python=/no/python", "peer_python: a Python with PyTorch expected"),
        ("extra", "unexpected argument 'extra'"),
    ],
)
def test_wrong_flags(flag, message, capsys):
    assert train_step.main([flag]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_settings_and_modes_are_checked():
    with pytest.raises(ValueError, match=r"settings: among dropout, .*, got precisions"):
        ours.make(SMALL, "train", precisions="bfloat16")
    with pytest.raises(ValueError, match="mode: one of train, infer, got 'sing'"):
        ours.make(SMALL, "sing")


def chosen(device="cpu", *, torch="2.13", small=False) -> command.Options:
    return command.Options(device, small, 7, 1, sys.executable, torch, "")


def contests(argv=(), **options) -> list[list[Side]]:
    flags = command.race_flags("x", "", "y")
    contest.add_flags(flags)
    flags(["x", *argv])
    return contest.contests(
        flags,
        chosen(**options),
        forms=inference.FORMS,
        ours={"cerberus_jax": {}},
        large_pages=True,
    )


def shown(groups) -> list[list[str]]:
    return [[f"{side.name} {side.precision}" for side in group] for group in groups]


def test_who_races_on_a_processor():
    assert shown(contests()) == [
        [
            "PyTorch published float32",
            "PyTorch eager float32",
            "PyTorch compile float32",
            "cerberus_jax float32",
            "PyTorch eager bfloat16",
            "PyTorch compile bfloat16",
            "cerberus_jax bfloat16",
        ]
    ]


@pytest.mark.parametrize("large_pages", [True, False])
def test_large_pages_are_ours_and_only_if_asked(monkeypatch, large_pages):
    monkeypatch.setattr(sides, "on_request_only", lambda: True)
    own = sides.ours("a", {}, precision="float32", device="cpu", large_pages=large_pages)
    assert ("hugetlb=1" in own.environment.get("GLIBC_TUNABLES", "")) is large_pages
    other = sides.ours("a", {}, precision="tf32", device="gpu", large_pages=large_pages)
    assert "GLIBC_TUNABLES" not in other.environment


def test_who_races_on_a_gpu():
    full, half = contests(device="gpu")
    assert shown([full[-2:], half]) == [
        ["PyTorch compile tf32", "cerberus_jax tf32"],
        ["PyTorch eager bfloat16", "PyTorch compile bfloat16", "cerberus_jax bfloat16"],
    ]
    assert full[-1].environment["JAX_DEFAULT_MATMUL_PRECISION"] == "tensorfloat32"
    assert full[-2].settings == {"device": "gpu", "variants": ["compile", "tf32"]}
    assert half[0].settings["variants"] == ["bf16"]


def test_who_races_as_asked():
    argv = ["--precision=bfloat16", "--forms=eager", "--ours=recurrence=scan,microbatch_size=4"]
    assert shown(contests(argv)) == [
        [
            "PyTorch eager bfloat16",
            "cerberus_jax bfloat16",
            "cerberus_jax recurrence=scan,microbatch_size=4 bfloat16",
        ]
    ]
    (sides_,) = contests(argv)
    own = {"precision": "bfloat16", "recurrence": "scan", "microbatch_size": 4}
    assert sides_[2].settings == own
    assert shown(contests(torch=None)) == [["cerberus_jax float32", "cerberus_jax bfloat16"]]
    assert "PyTorch compile float32" not in shown(contests(small=True))[0]


def result(name, seconds, megabytes, *, precision="float32", peer=True) -> SideResult:
    factory = sides.PEER if peer else sides.OURS
    return SideResult(
        Side(name, factory, precision=precision), [seconds], [seconds], [0.0], peak_mb=megabytes
    )


def test_comparisons_are_at_equal_precision():
    results = [
        result("PyTorch published", 8.0, 1000),
        result("PyTorch compile", 6.0, 900),
        result("PyTorch compile", 3.0, 600, precision="bfloat16"),
        result("cerberus_jax", 4.0, 500, peer=False),
        result("cerberus_jax", 2.0, 300, precision="bfloat16", peer=False),
        SideResult(Side("PyTorch eager", sides.PEER), error="no memory"),
    ]
    assert contest.comparisons(results[3], results) == {
        "times_published": 2.0,
        "memory_of_published": 0.5,
        "times_best_peer": 1.5,
        "times_best_peer_by_round": 1.5,
        "memory_of_leanest_peer": 500 / 900,
    }
    found = contest.comparisons(results[4], results)
    assert (found["times_published"], found["times_best_peer"]) == (4.0, 1.5)
    assert found["memory_of_leanest_peer"] == 0.5
    assert contest.comparisons(results[3], results[3:4]) == {}


def test_failures_are_told_by_their_last_line():
    failed = SideResult(Side("ours", "a:b"), error="Traceback\n  line\nValueError: why")
    assert contest.failures([failed, result("x", 1.0, 1.0)]) == [
        "ours, float32, failed: ValueError: why"
    ]


def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match="device: one of cpu, gpu, got 'abacus'"):
        machine.measure("abacus")


def test_the_machine_in_words():
    found = machine.measure("cpu", small=True)
    assert found["device"] == machine.cpu_words()
    assert set(found["product_flops"]) == {"float32", "bfloat16"}
    assert min(found["copy_bytes"], *found["product_flops"].values()) > 0
    assert found["commit"] == machine.commit()
    assert "JAX" in machine.words(found)


def test_the_machine_of_a_race_names_pytorch(monkeypatch):
    found = {"versions": {"JAX": "0.10.2"}}
    monkeypatch.setattr(machine, "measure", lambda device, small: found)
    assert command.measured_machine(chosen())["versions"] == {"JAX": "0.10.2", "PyTorch": "2.13"}


def test_torch_is_looked_for_in_the_peers_python(tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 2.13.0\n")
    fake.chmod(0o755)
    assert sides.torch_version(str(fake)) == "2.13.0"
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert sides.torch_version(str(fake)) is None


def test_the_python_of_the_peer_may_be_named_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = os.path.relpath(sys.executable, tmp_path)
    assert sides.torch_version(relative) == sides.torch_version(sys.executable)
