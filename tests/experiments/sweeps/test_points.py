"""Which points a sweep has: shipped ones, products, grids, functions of the user's."""

import pytest

from experiments.config.loading import flatten, heads_of, load_config
from experiments.sweeps.points import load_points

SET = "sets/set1.py"
SHORT = {"deep_clustering": "D", "mask_inference": "M", "transcription": "T"}


def names(*args, **options):
    return [name for name, _ in load_points(*args, **options)]


def test_the_seven_points_have_the_heads_of_the_paper():
    points = load_points("loss_weights", SET)
    heads = ["".join(SHORT[head] for head in heads_of(config)) for _, config in points]
    assert heads == ["D", "M", "T", "DM", "DT", "MT", "DMT"]
    for _, config in points:
        assert sum(config.loss[name] for name in SHORT) == pytest.approx(1)


def test_a_grid_of_weights_covers_the_simplex():
    points = load_points("weight_grid=3", SET)
    found = [tuple(round(3 * config.loss[name]) for name in SHORT) for _, config in points]
    assert sorted(found) == sorted(
        (a, b, 3 - a - b) for a in range(4) for b in range(4) if a + b <= 3
    )
    assert "dc0.3333_mi0_tr0.6667" in [name for name, _ in points]


def test_each_ingredient_of_the_demo_is_left_out_once():
    """Each point differs from the set in what its name says, and no two are the same."""
    points = dict(load_points("ingredients", "sets/demo.py"))
    whole = flatten(points.pop("all"))
    assert whole == flatten(load_config("sets/demo.py"))
    changed = {
        name: {field for field, value in flatten(config).items() if value != whole[field]}
        for name, config in points.items()
    }
    masks = "model.mask_inference.pitch_channels"
    assert changed == {
        "linear_masks": {masks},
        "no_bands": {"model.trunk"},
        "blstm_and_linear_masks": {masks, "model.trunk"},
        "l1": {"loss.mask_inference_kind", "loss.mask_inference"},
        "squared_error": {
            f"loss.{head}{field}" for head in ("transcription", "onsets") for field in ("", "_kind")
        },
        "no_onsets": {"loss.onsets"},
        "no_average": {"optimizer.average_decay"},
        "no_filter": {"data.augment_equaliser_db"},
        "short_frames": {"audio.window"},
        "clustering": {"loss.deep_clustering"},
    }


def test_sets_have_two_to_five_instruments():
    points = load_points("instrument_sets", "sets/cerberus_demo.py")
    assert [len(config.instruments) for _, config in points] == [2, 3, 4, 5]
    assert {config.model.hidden for _, config in points} == {128}


def test_sweeps_and_fields_are_combined_freely():
    overrides = [("train.num_steps", "7")]
    grid = "optimizer.learning_rate=1e-3,3e-4; data.seed=5"
    points = load_points("instrument_sets*seeds=2", SET, overrides, grid=grid)
    assert len(points) == 4 * 2 * 2
    name, config = points[3]
    assert name == "set1__seed_1__learning_rate_3e-4__seed_5"
    assert (config.seed, config.data.seed, config.optimizer.learning_rate) == (1, 5, 3e-4)
    assert {config.train.num_steps for _, config in points} == {7}


def test_a_list_of_names_in_a_grid():
    points = load_points("", SET, grid="instruments=piano+bass,guitar")
    assert [config.instruments for _, config in points] == [("piano", "bass"), ("guitar",)]
    assert [name for name, _ in points] == ["instruments_piano+bass", "instruments_guitar"]


def test_a_function_of_ones_own(tmp_path, monkeypatch):
    text = "def mine():\n    yield 'a', {'seed': 1}\n    yield 'b', {'seed': 2}\nget_sweep = mine\n"
    (tmp_path / "my_points.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_points.py"
    for sweep in (str(file), f"{file}:mine", "my_points:mine"):
        assert [config.seed for _, config in load_points(sweep, SET)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[('a', {}), ('a', {})]", "a name each"),
        ("[('a', {}), ('A', {})]", "a name each"),
        ("[('../a', {})]", "a name is a folder"),
        ("[('a', {'sed': 1})]", "did you mean"),
        ("[('a', {1: 1})]", "pairs of name and fields"),
        ("[]", "pairs of name and fields"),
        ("3", "pairs of name and fields"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_points_that_cannot_be(tmp_path, text, message):
    file = tmp_path / "own.py"
    file.write_text(f"def get_sweep():\n    return {text}\n")
    with pytest.raises(ValueError, match=message):
        load_points(str(file), SET)


@pytest.mark.parametrize(
    ("sweep", "grid", "message"),
    [
        ("loss_weigths", "", "loss_weights"),
        ("no.such:function", "", "ModuleNotFoundError"),
        ("loss_weights=3", "", "seeds=5"),
        ("seeds=0", "", "seeds=5"),
        ("seeds*seeds", "", "two factors"),
        ("seeds", "seed=3", "two factors"),
        ("", "seed", "FIELD=VALUE"),
        ("", " ; ", "expected, got nothing"),
        ("", "optimizer.learning_rate=1e-3,0.001", "learning_rate_0.001 are the same run"),
        ("ingredients", "", "all and linear_masks are the same run"),
    ],
)
def test_requests_that_cannot_be(sweep, grid, message):
    with pytest.raises(ValueError, match=message):
        load_points(sweep, SET, grid=grid)
    with pytest.raises(FileNotFoundError, match="loss_weights"):
        load_points("none.py", SET)
