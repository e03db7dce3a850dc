"""Which points train together, and how many at once."""

import jax
import pytest

from experiments.sweeps import together
from experiments.sweeps.diverged import set_apart, why_apart
from experiments.sweeps.points import load_points
from tests.tiny_run import prepare_data, tiny_config

SET = "sets/set1.py"


def sizes(*args, **options):
    return [len(group) for group in together.groups(load_points(*args, **options))]


def test_points_that_differ_in_numbers_alone_train_together():
    assert sizes("loss_weights*seeds=3", SET, grid="optimizer.learning_rate=1e-3,3e-4") == [42]


@pytest.mark.parametrize(
    "grid", ["data.seed=0,1", "model.hidden=8,16", "batch_size=2,4", "optimizer.warmup_steps=0,9"]
)
def test_points_of_other_batches_or_shapes_do_not(grid):
    assert sizes("seeds=3", SET, grid=grid) == [3, 3]
    assert sizes("instrument_sets*seeds=2", SET) == [2, 2, 2, 2]


def test_a_group_is_divided_evenly():
    points = load_points("loss_weights", SET)
    assert [len(chunk) for chunk in together.chunks(points, 4)] == [4, 3]
    assert [own for chunk in together.chunks(points, 3) for own in chunk] == points
    assert [len(chunk) for chunk in together.chunks(points, 99)] == [7]


def test_how_many_points_fit_a_budget(tmp_path):
    """In turn: by the parameters, counted here by hand; stacked: by the compiled program."""
    scored = {"train.best_by": "validation_onset_f1"}  # nothing is scored to measure memory
    config = tiny_config(prepare_data(tmp_path), **{"data.num_test_excerpts": 1}, **scored)
    group = [("one", config)]
    hidden, bins = 8, 257
    trunk = 2 * (bins + hidden + 1) * 4 * hidden  # two directions of a layer
    heads = (2 * hidden + 1) * (2 * bins + 2 * bins + 88)  # one of two instruments is drums
    heads += (2 * hidden + 1) * 88  # whose roll is there too
    per_point = 32 * (trunk + heads)
    for way, bytes_of_one in (("turn", per_point), ("stacked", together._stacked_bytes(config))):
        found = [
            together.at_once(group, way=way, budget_bytes=round(share * bytes_of_one))
            for share in (0.1, 1.01, 5.01)
        ]
        assert found == [1, 1, 5]
    assert together._stacked_bytes(config) > 12 * (trunk + heads)
    assert together.at_once(group, way="turn") > 100


def test_points_are_stacked_off_cpus(monkeypatch):
    assert not together.is_stacked("auto") and together.is_stacked("stacked")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert together.is_stacked("auto") and not together.is_stacked("turn")


def test_pmap_is_refused(tmp_path):
    ((_, config),) = load_points("seeds=1", SET, [("parallel", "pmap")])
    with pytest.raises(ValueError, match="parallel"):
        together.train_group({tmp_path / "a": config}, way="auto")
    assert not list(tmp_path.iterdir())


def test_a_point_set_apart_stays_so_until_more_updates_may_be_left_out(tmp_path, caplog):
    ((_, config),) = load_points("seeds=1", SET)
    ((_, other),) = load_points("seeds=1", SET, [("train.skip_nonfinite", "5")])
    assert why_apart(tmp_path, config) == ""
    set_apart(tmp_path, config, ValueError("loss not finite"))
    assert "loss not finite" in caplog.text
    assert why_apart(tmp_path, config) == "loss not finite" and why_apart(tmp_path, other) == ""
    (tmp_path / "diverged.json").write_text("{}")
    with pytest.raises(ValueError, match=r"diverged\.json"):
        why_apart(tmp_path, config)
