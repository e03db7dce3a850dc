"""Compiled programs on disk: a second start compiles nothing, and nothing there stops a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from experiments.runtime import compile_cache
from experiments.runtime.cache_folder import CACHE_VARIABLE
from experiments.runtime.compile_cache import forget_oldest, keep_compiled, processor_key
from tests import ROOT

START = """
import json, warnings
from experiments.runtime.compile_cache import keep_compiled
folder = keep_compiled()
import jax, jax.numpy as jnp
counts = {"cache_hits": 0, "cache_misses": 0}
def count(event, **_):
    name = event.rpartition("/")[2]
    if name in counts:
        counts[name] += 1
jax.monitoring.register_event_listener(count)
result = jax.jit(lambda x: jnp.sin(x) @ x.T)(jnp.ones((3, 4)))
print(json.dumps(counts | {"sum": float(result.sum()), "folder": str(folder)}))
"""


def _start(cache):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=env | {CACHE_VARIABLE: str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A first and a second start with one cache."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, _start(cache), _start(cache)


def test_the_second_start_compiles_nothing_and_finds_the_same(started):
    cache, (first, _), (second, error) = started
    assert first["cache_misses"] > 0
    assert first["cache_hits"] == 0
    assert second["cache_misses"] == 0
    assert second["cache_hits"] == first["cache_misses"]
    assert second["sum"] == first["sum"]
    assert error == ""
    assert Path(first["folder"]) == cache / "compiled" / processor_key()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[::-1]])
def test_damaged_programs_are_compiled_anew(started, damage):
    cache, (first, _), _ = started
    programs = {file: file.read_bytes() for file in cache.rglob("*-cache")}
    for file, content in programs.items():
        file.write_bytes(damage(content))
    found, error = _start(cache)
    for file, content in programs.items():
        file.write_bytes(content)
    assert found["sum"] == first["sum"]
    assert found["cache_hits"] == 0
    assert "Error reading persistent compilation cache entry" in error
    assert "Traceback" not in error


def test_a_place_that_cannot_be_written_is_said_and_costs_only_time(started, tmp_path):
    """A file where a folder is wanted: permissions would not stop a superuser."""
    (tmp_path / "compiled").write_text("kept")
    found, error = _start(tmp_path)
    assert found["sum"] == started[1][0]["sum"]
    assert found["folder"] == "None"
    assert error.startswith("Compiled programs are not kept: ")
    assert error.count("\n") == 1
    assert str(tmp_path / "compiled") in error
    assert "JAX_COMPILATION_CACHE_DIR" in error
    assert (tmp_path / "compiled").read_text() == "kept"


def test_a_folder_named_by_the_user_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    before = jax.config.jax_compilation_cache_dir
    assert keep_compiled() == tmp_path / "own"
    assert jax.config.jax_compilation_cache_dir == before
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_turned_off(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert keep_compiled() is None
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert list(tmp_path.iterdir()) == []


def test_other_processors_have_other_folders(monkeypatch, tmp_path):
    """A program may use instructions, and as many threads, as only its own machine has."""
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(compile_cache, "_CPU_INFO", info)
    core = "processor : {}\nmodel name : Some CPU\ncpu MHz : {}\nflags : fpu {}\n\n"
    found = []
    for flags in ("avx2", "avx2 avx512f"):
        info.write_text("".join(core.format(k, 2000 + k, flags) for k in range(2)))
        found.append(processor_key())
    info.write_text("".join(core.format(k, 3000 - k, "avx2") for k in range(2)))
    assert processor_key() == found[0]  # the clock rate does not matter
    monkeypatch.setattr(compile_cache, "num_cores", lambda: 64)
    found.append(processor_key())
    info.unlink()
    monkeypatch.setattr(compile_cache.platform, "node", lambda: "one")
    found.append(processor_key())
    monkeypatch.setattr(compile_cache.platform, "node", lambda: "other")
    found.append(processor_key())
    assert len(set(found)) == 5


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    for age, name in enumerate(("new", "used", "old", "older")):
        file = tmp_path / ("a" if age % 2 else "b") / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(100))
        moment = 1_000_000 - 1000 * age
        os.utime(file, (moment if name != "used" else 2_000_000, moment))
    forget_oldest(tmp_path, most_bytes=250)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"new", "used"}
    forget_oldest(tmp_path, most_bytes=200)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"new", "used"}
    forget_oldest(tmp_path, most_bytes=199)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"used"}
