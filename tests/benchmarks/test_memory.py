"""Temporary memory of the deep-clustering path, as XLA accounts for it. Compiles only."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax import steps
from experiments.benchmarks import memory, ours
from experiments.benchmarks.figures import read
from experiments.benchmarks.workload import SMALL, Workload, loader_batch

# MB of the best form measured before this project was written, for 8 and 16 clips of 5 s.
BEST_FORM_MB = {8: 84, 16: 90}


def clustering_mb(batch, frames, *, microbatch_size=1):
    work = replace(memory.with_frames(Workload(), frames), batch_size=batch)
    assert work.num_frames == frames
    return memory.clustering_mb(work, microbatch_size=microbatch_size)


def test_clip_by_clip_memory_hardly_grows_with_the_batch():
    sizes = [clustering_mb(batch, 400) for batch in (8, 32)]
    assert sizes[1] <= 1.25 * sizes[0]
    assert clustering_mb(8, 400, microbatch_size=0) > 4 * sizes[0]


@pytest.mark.parametrize("batch", BEST_FORM_MB)
def test_clip_by_clip_memory_is_at_most_that_of_the_best_form_known(batch):
    assert clustering_mb(batch, 313) <= BEST_FORM_MB[batch]


def test_the_readable_step_makes_the_same_update():
    task = ours.task(replace(SMALL, dropout=0.0), microbatch_size=1)
    batch, key = jax.tree.map(jnp.asarray, loader_batch(SMALL)), jax.random.key(0)
    state = jax.jit(lambda: steps.init_state(task, key, batch))()
    weights = {name: jnp.float32(value) for name, value in ours.LOSS_WEIGHTS.items()}
    readable, whole = (
        jax.jit(functools.partial(step, task=task))
        for step in (memory.readable_step, steps.train_step)
    )
    found, loss = readable(state, batch, key, weights)
    expected, metrics = whole(state, batch, key, weights)
    np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-5)
    moments = [jax.tree.leaves(one.opt_state) for one in (found, expected)]
    for mine, theirs in zip(*moments, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-6)


def test_the_command_writes_every_row(tmp_path, capsys):
    path = tmp_path / "memory.json"
    assert memory.main(["--small", f"--out={path}"]) == 0
    table, figures = capsys.readouterr().out, read(path)
    assert len(figures.rows) == 9
    assert all(one["median"] > 0 and one["unit"] == "MB" for one in figures.rows)
    assert table.count("readable losses") > 4
    assert path.with_suffix(".md").exists()


def test_without_time_the_first_part_is_compiled_and_the_rest_named(tmp_path, capsys):
    path = tmp_path / "memory.json"
    assert memory.main(["--small", f"--out={path}", "--budget=0.0001"]) == 0
    assert {one["part"] for one in read(path).rows} == {"clustering gradient"}
    assert f"1 of 2 parts: {memory.OUT_OF_TIME}" in capsys.readouterr().out


def test_what_was_compiled_before_a_failure_is_kept(tmp_path, monkeypatch):
    def broken(*_):
        raise MemoryError

    path = tmp_path / "memory.json"
    monkeypatch.setattr(memory, "step_rows", broken)
    with pytest.raises(MemoryError):
        memory.main(["--small", f"--out={path}"])
    assert len(read(path).rows) == 6


def test_an_unknown_device(capsys):
    assert memory.main(["--device=tpu"]) == 1
    assert "device: one of cpu, gpu, got 'tpu'" in capsys.readouterr().err
