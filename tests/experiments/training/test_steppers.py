"""Points of a sweep that train together: each is what it would be alone."""

import itertools
from functools import partial

import pytest

from cerberus_jax import checkpoint
from experiments import train
from experiments.training.metric_log import read_metrics
from experiments.training.steppers import InTurn, Stacked
from tests.tiny_network import noise_batch
from tests.tiny_training import assert_same_run, batches, run_training, tiny_config, without_time

STEPS = 8
POINTS = {
    "cerberus": {},
    "rolls": {"loss__deep_clustering": 0, "loss__mask_inference": 0, "seed": 3},
    "wild": {"optimizer__learning_rate": 1e39},
}
IN_TURN = partial(InTurn, at_a_time=2)


def _together(workdir, given=None, *, stepper=IN_TURN, names=tuple(POINTS), **changes):
    """Trains, or goes on; returns the names of those set apart."""
    apart = []
    train.train_together(
        {
            workdir / k: tiny_config(**{"train__num_steps": STEPS} | POINTS[k] | changes)
            for k in names
        },
        given or batches,
        stepper=stepper,
        set_apart=lambda run, error: apart.append((run.workdir.name, str(error))),
        validation_batches=[noise_batch(4, seed=1000)],
        progress=False,
    )
    return apart


@pytest.fixture(scope="module")
def through(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    ((name, why),) = _together(folder)
    assert name == "wild" and "not finite at step" in why
    return folder


def _assert_close(one, other):
    """The logs of two runs, value by value."""
    for left, right in zip(*(without_time(read_metrics(d)) for d in (one, other)), strict=True):
        assert left.pop("off_schedule", None) == right.pop("off_schedule", None)
        assert left == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("name", ["cerberus", "rolls"])
def test_a_directory_is_that_of_a_single_run(through, tmp_path, name):
    """Losses, validations, rates, checkpoints; the diverging point beside them changes nothing."""
    run_training(tmp_path, train__num_steps=STEPS, **POINTS[name])
    _assert_close(tmp_path, through / name)
    assert checkpoint.saved_steps(tmp_path) == checkpoint.saved_steps(through / name)
    run_training(through / name, train__num_steps=STEPS, **POINTS[name])  # finished: nothing to do


def test_points_begin_with_another_network_as_a_run_does(through, tmp_path):
    begin = {"train__init_from": str(through / "cerberus"), "train__num_steps": 1}
    run_training(tmp_path / "alone", **POINTS["rolls"], **begin)
    _together(tmp_path, names=("rolls",), **begin)
    _assert_close(tmp_path / "alone", tmp_path / "rolls")
    losses = [read_metrics(run / "rolls")[0]["loss"] for run in (tmp_path, through)]
    assert losses[0] < 0.999 * losses[1]


def _broken(after):
    def given(first):
        yield from itertools.islice(batches(first), after - first)
        raise OSError("the disk is gone")

    return given


def test_points_that_were_stopped_twice_go_on_to_the_same_end(through, tmp_path):
    """The second time one of them had not saved what the other had; the third begins anew."""
    for after in (4, 7):
        with pytest.raises(OSError, match="the disk is gone"):
            _together(tmp_path, _broken(after), train__checkpoint_every=2)
    (newest,) = (tmp_path / "rolls/checkpoints/last").glob("6")
    newest.rename(tmp_path / "gone")
    assert train.start_step(tmp_path / "rolls") < train.start_step(tmp_path / "cerberus") == 6
    _together(tmp_path, train__checkpoint_every=2)
    for name in ("cerberus", "rolls"):
        assert_same_run(through / name, tmp_path / name, **POINTS[name])


def test_stacked_points_are_those_in_turn_and_go_on_where_each_was(through, tmp_path):
    with pytest.raises(OSError, match="the disk is gone"):
        _together(tmp_path, _broken(7), stepper=Stacked, train__checkpoint_every=2)
    (newest,) = (tmp_path / "rolls/checkpoints/last").glob("6")
    newest.rename(tmp_path / "gone")
    ((name, _),) = _together(tmp_path, stepper=Stacked, train__checkpoint_every=2)
    assert name == "wild"
    for name in ("cerberus", "rolls"):
        _assert_close(through / name, tmp_path / name)
        assert checkpoint.saved_steps(tmp_path / name) == checkpoint.saved_steps(through / name)
