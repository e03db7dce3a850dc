"""Where songs of unseen programs are scored beside the test, and where not."""

from experiments.evaluate import evaluate
from experiments.evaluation.unseen import UNSEEN_SPLIT, unseen_planner
from experiments.training import data
from tests.tiny_run import prepare_data, tiny_config, write_run


def test_the_unseen_are_those_of_their_split_and_nothing_is_said_without_it(tmp_path, capsys):
    config = tiny_config(prepare_data(tmp_path / "data"))
    planner, _ = data.test_excerpts(config, "test")
    assert unseen_planner(config, planner).config.split == UNSEEN_SPLIT
    config.evaluation.excerpts = "list.json"
    assert unseen_planner(config, planner) is None
    others = ("train", "validation", "test")
    config = tiny_config(prepare_data(tmp_path / "others", splits=others))
    planner, _ = data.test_excerpts(config, "test")
    assert unseen_planner(config, planner) is None
    assert capsys.readouterr().err == ""


def test_an_unusable_unseen_split_is_left_out(tmp_path, capsys):
    names = ["piano", "drums"] * 6 + ["piano", "piano"] * 2  # the last two tracks are the unseen
    root = prepare_data(tmp_path / "data", instruments=names)
    config = tiny_config(root, **{"data.num_test_excerpts": 1})
    run = write_run(tmp_path / "run", config)
    assert evaluate(run)["splits"] == {}
    assert "test_unseen is left out" in capsys.readouterr().err
