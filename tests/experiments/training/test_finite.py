"""Losses and gradients that are not finite: the run ends, or leaves the update out."""

import functools
import json

import jax
import numpy as np
import pytest

from experiments import train
from experiments.training import loop
from experiments.training.finite import FiniteWatch
from experiments.training.metric_log import read_metrics
from tests.tiny_network import noise_batch
from tests.tiny_training import batches, last_state, run_training, tiny_config


def _poisoned(steps, first=0):
    """Batches of which those of some steps have gains that are no numbers."""
    for k, batch in enumerate(batches(first), start=first + 1):
        if k in steps:
            batch["gains"][:] = np.nan
        yield batch


def test_a_loss_that_is_not_finite_stops_the_run_where_it_began(tmp_path):
    """Long before the next line of the log, and with the batch named that brought it."""
    rarely = {f"train__{name}": 99 for name in ("log_every", "eval_every", "checkpoint_every")}
    with pytest.raises(ValueError, match=r"training: .*deep_clustering, .* not finite at step 3"):
        run_training(tmp_path, _poisoned({3}), train__num_steps=9, **rarely)
    assert train.start_step(tmp_path) == 0


def test_the_excerpts_of_the_batch_are_named_and_listed(tmp_path):
    with pytest.raises(ValueError, match=r"at step 3 on batch2-a, batch2-b.*, 1 more \(all"):
        train.train(
            tiny_config(train__num_steps=4),
            _poisoned({3}),
            workdir=tmp_path,
            excerpts_of=lambda k: [f"batch{k}-{name}" for name in "abcd"],
        )
    listed = json.loads((tmp_path / "nonfinite.json").read_text())
    assert listed["step"] == 3 and listed["excerpts"][3] == "batch2-d"
    assert {"loss", "gradient_norm", "transcription"} <= set(listed["not_finite"])


def test_no_step_is_waited_for_to_see_whether_it_is_finite(tmp_path, monkeypatch):
    """What is looked at was computed while two more steps were handed out."""
    looked, updates = [], []
    look, update = FiniteWatch.look, loop.Loop.update
    monkeypatch.setattr(
        FiniteWatch, "look", lambda *args: looked.append((args[1], updates[-1])) or look(*args)
    )
    monkeypatch.setattr(loop.Loop, "update", lambda *args: updates.append(args[2]) or update(*args))
    rarely = {f"train__{name}": 99 for name in ("log_every", "eval_every", "checkpoint_every")}
    run_training(tmp_path, train__num_steps=6, **rarely)
    assert looked == [(1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (6, 6)]


def test_updates_that_are_not_finite_are_left_out_and_counted(tmp_path, caplog):
    """As if those steps had not been, whatever lies between them and the checkpoints."""
    run_training(tmp_path / "on", _poisoned({3, 5}), train__num_steps=8, train__skip_nonfinite=2)
    entries = read_metrics(tmp_path / "on")
    assert [entry["skipped_updates"] for entry in entries] == [0, 0, 1, 1, 2, 2, 2, 2]
    assert ["loss" in entry for entry in entries] == [k not in (3, 5) for k in range(1, 9)]
    assert [record.getMessage()[:7] for record in caplog.records] == ["step 3:", "step 5:"]
    run_training(tmp_path / "off", _poisoned({3, 5}), train__num_steps=2)
    state, like = last_state(tmp_path / "on", train__skip_nonfinite=1), last_state(tmp_path / "off")
    assert state.skipped == 2 and state.step == 8 and like.skipped is None
    assert int(state.opt_state[1].count) == 6
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_a_run_goes_on_with_its_count_of_updates_left_out(tmp_path):
    poison = {3, 5, 7}
    on = {"train__skip_nonfinite": 2}
    with pytest.raises(ValueError, match="not finite at step 7"):
        run_training(tmp_path, _poisoned(poison), train__num_steps=8, **on)
    assert train.start_step(tmp_path) == 5
    with pytest.raises(ValueError, match="not finite at step 7"):
        run_training(tmp_path, _poisoned(poison, 5), train__num_steps=8, **on)
    run_training(tmp_path, _poisoned(poison, 5), train__num_steps=8, train__skip_nonfinite=3)
    assert read_metrics(tmp_path)[-1]["skipped_updates"] == 3


@pytest.fixture(scope="module")
def through(tmp_path_factory):
    """A run of eight steps without a stop."""
    folder = tmp_path_factory.mktemp("through")
    run_training(folder, train__num_steps=8)
    return folder


def test_leaving_out_may_begin_and_end_in_the_middle_of_a_run(through, tmp_path):
    """Where all is finite nothing differs, and a checkpoint without a count begins at none."""
    run_training(tmp_path, train__num_steps=5)
    run_training(tmp_path, train__num_steps=6, train__skip_nonfinite=1)
    assert read_metrics(tmp_path)[-1]["skipped_updates"] == 0
    run_training(tmp_path, train__num_steps=8)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-8)  # another program
    jax.tree.map(same, last_state(through).params, last_state(tmp_path).params)


def test_a_validation_that_is_not_finite_stops_the_run(tmp_path):
    bad = noise_batch(4) | {"gains": np.full((4, 2), np.nan, np.float32)}
    with pytest.raises(ValueError, match=r"validation: .*validation_loss.* not finite at step 3"):
        train.train(
            tiny_config(train__num_steps=4), batches(), workdir=tmp_path, validation_batches=[bad]
        )


def test_a_stop_saves_nothing_that_is_not_finite(tmp_path, monkeypatch):
    class Asked(loop.GracefulStop):
        def __init__(self):
            super().__init__()
            self.asked = True

    monkeypatch.setattr(loop, "GracefulStop", Asked)
    rarely = {f"train__{name}": 9 for name in ("num_steps", "log_every", "checkpoint_every")}
    with pytest.raises(ValueError, match="not finite at step 1"):
        run_training(tmp_path, _poisoned({1}), train__eval_every=9, **rarely)
    assert train.start_step(tmp_path) == 0
