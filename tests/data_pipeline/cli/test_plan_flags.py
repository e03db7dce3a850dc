"""The flags of the commands that show or list excerpts mean what evaluation scores by default."""

import pytest

from data_pipeline.cli.flags import CommandFlags
from data_pipeline.planning.flags import add_plan_flags, planner_of_flags
from experiments.training import data
from tests.tiny_run import prepare_data, tiny_config


def _parsed(*args):
    flags = CommandFlags("command", "shows excerpts")
    add_plan_flags(flags)
    flags(["command", *args])
    return flags


def test_defaults_are_those_of_evaluation(tmp_path):
    root = prepare_data(tmp_path / "data")
    flags = _parsed(f"--data={root}", "--instruments=piano,drums", "--seconds=2")
    planner = planner_of_flags(flags)
    expected = data.planner(tiny_config(root), "test", excerpt_seconds=2)
    assert [planner.batch(k).ids[0] for k in range(2)] == expected.batch(0).ids
    assert (planner.batch(0).gains == 1).all()


def test_without_data():
    with pytest.raises(ValueError, match="--data=DIR is needed"):
        planner_of_flags(_parsed())


def test_every_flag_reaches_the_plan(tmp_path):
    root = prepare_data(tmp_path / "data")
    wanted = {
        "instruments": ("drums", "piano"),
        "split": "validation",
        "corpora": ("tiny", "tiny"),
        "seed": 3,
        "coherent_probability": 0.25,
        "gain_db": 2.5,
        "augment_semitones": 1,
        "active_rms_db": -40.5,
    }
    given = {k: ",".join(v) if isinstance(v, tuple) else v for k, v in wanted.items()}
    flags = [f"--{name}={value}" for name, value in given.items()]
    found = vars(planner_of_flags(_parsed(f"--data={root}", "--seconds=1.5", *flags)).config)
    others = ("--seconds=2", "--instruments=piano,drums")
    usual = vars(planner_of_flags(_parsed(f"--data={root}", *others)).config)
    assert {name: found[name] for name in wanted} == wanted
    assert found["num_samples"] == 24000
    assert {name for name in found if found[name] != usual[name]} == {*wanted, "num_samples"}
