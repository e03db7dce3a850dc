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
from experiments.runtime.compile_cache import keep_compiled, processor_key
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


def _start(cache, code=START):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
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
    restarted, error = _start(cache)
    for file, content in programs.items():
        file.write_bytes(content)
    assert restarted["sum"] == first["sum"]
    assert restarted["cache_hits"] == 0
    assert "Error reading persistent compilation cache entry" in error
    assert "Traceback" not in error


def test_a_place_that_cannot_be_written_is_said_and_costs_only_time(started, tmp_path):
    """A file where a folder is wanted: permissions would not stop a superuser."""
    (tmp_path / "compiled").write_text("a file")
    restarted, error = _start(tmp_path)
    assert restarted["sum"] == started[1][0]["sum"]
    assert restarted["folder"] == "None"
    assert error.startswith("Compiled programs are not kept: ")
    assert error.count("\n") == 1
    assert str(tmp_path / "compiled") in error
    assert "JAX_COMPILATION_CACHE_DIR" in error
    assert (tmp_path / "compiled").read_text() == "a file"


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
    keys = []
    for flags in ("avx2", "avx2 avx512f"):
        info.write_text("".join(core.format(k, 2000 + k, flags) for k in range(2)))
        keys.append(processor_key())
    info.write_text("".join(core.format(k, 3000 - k, "avx2") for k in range(2)))
    assert processor_key() == keys[0]  # the clock rate does not matter
    monkeypatch.setattr(compile_cache, "num_processors", lambda: 64)
    keys.append(processor_key())
    info.unlink()
    monkeypatch.setattr(compile_cache.platform, "node", lambda: "one")
    keys.append(processor_key())
    monkeypatch.setattr(compile_cache.platform, "node", lambda: "other")
    keys.append(processor_key())
    assert len(set(keys)) == 5


MANY = """
import json, os
from experiments.runtime import compile_cache
compile_cache.MAX_BYTES = 40_000
folder = compile_cache.keep_compiled()
import jax, jax.numpy as jnp
sizes = []
for k in range(12):
    jax.jit(lambda x: jnp.sin(x + k) @ x.T)(jnp.ones((3, 4 + k)))
    sizes.append(sum(file.stat().st_size for file in folder.glob("*-cache")))
print(json.dumps({"sizes": sizes, "folder": str(folder)}))
"""


def test_the_folder_does_not_outgrow_its_limit(tmp_path):
    (first, error) = _start(tmp_path, MANY)
    assert error == ""
    sizes = first["sizes"]
    assert 20_000 < max(sizes) <= 40_000
    assert max(sizes[:6]) == sizes[5]  # it grows until it is full


def test_a_program_without_the_time_of_its_use_does_not_stop_others_from_being_saved(tmp_path):
    """What a process leaves that was killed between the two files."""
    first, _ = _start(tmp_path, MANY)
    for file in list(Path(first["folder"]).glob("*-atime"))[:3]:
        file.unlink()
    assert _start(tmp_path, MANY)[1] == ""
    assert len(list(tmp_path.rglob("*-atime"))) == len(list(tmp_path.rglob("*-cache")))
