"""What TensorBoard and Weights & Biases get of a run's log."""

import importlib.util
import itertools
import json
import sys
import types

import pytest
from tensorboardX.proto.event_pb2 import Event

from experiments.config.loading import load_config
from experiments.training import mirrors
from experiments.training.metric_log import read_metrics
from experiments.training.mirrors import check_mirrors, scalars
from tests.tiny_training import batches, run_training

ON = {"train__tensorboard": 1}


def events_of(workdir):
    """The events of all files in the order of the files, read by TensorFlow's reader of records."""
    tf = pytest.importorskip("tensorflow")
    files = sorted((workdir / "tensorboard").iterdir())
    for record in tf.data.TFRecordDataset([str(file) for file in files]).as_numpy_iterator():
        yield Event.FromString(record)


def shown(workdir):
    """Tag and step -> value, as TensorBoard takes them: a file that begins at a step voids what
    came at that step and later."""
    found = {}
    for event in events_of(workdir):
        if event.session_log.status == event.session_log.START:
            found = {key: value for key, value in found.items() if key[1] < event.step}
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
    return found


def expected(workdir):
    return {
        (name, entry["step"]): pytest.approx(value, rel=1e-6)
        for entry in read_metrics(workdir)
        for name, value in scalars(entry).items()
    }


def test_event_files_hold_the_log(tmp_path):
    run_training(tmp_path, train__num_steps=4, **ON)
    found = shown(tmp_path)
    assert found == expected(tmp_path)
    assert {"training/loss", "validation/loss", "time/seconds_per_step"} <= {
        tag for tag, _ in found
    }


def test_a_run_that_goes_on_voids_what_it_repeats(tmp_path):
    """It fails at step 8, after the checkpoint of step 5."""
    with pytest.raises(ValueError, match="ended at step 7"):
        run_training(tmp_path, itertools.islice(batches(), 7), train__num_steps=9, **ON)
    assert max(step for _, step in shown(tmp_path)) == 7
    run_training(tmp_path, train__num_steps=9, **ON)
    assert shown(tmp_path) == expected(tmp_path)


def test_a_run_that_begins_again_voids_all(tmp_path):
    """It fails at step 4, before the first checkpoint."""
    with pytest.raises(ValueError, match="ended at step 3"):
        run_training(tmp_path, itertools.islice(batches(), 3), train__num_steps=6, **ON)
    run_training(tmp_path, train__num_steps=2, **ON)
    assert shown(tmp_path) == expected(tmp_path)


def test_what_was_logged_without_it_is_not_missing(tmp_path):
    for steps, changes in ((2, ON), (4, {}), (6, ON)):
        run_training(tmp_path, train__num_steps=steps, **changes)
    assert shown(tmp_path) == expected(tmp_path)
    assert {step for _, step in shown(tmp_path)} == {1, 2, 3, 4, 5, 6}


def test_asked_for_later_it_gets_the_log_from_the_beginning(tmp_path):
    run_training(tmp_path, train__num_steps=5)
    assert not (tmp_path / "tensorboard").exists()
    run_training(tmp_path, train__num_steps=6, **ON)
    assert shown(tmp_path) == expected(tmp_path)


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package, which needs a server: keeps what it is given."""
    runs = {}

    class FakeRun:
        def __init__(self, settings):
            self.settings, self.lines, self.is_open = settings, {}, True

        def log(self, values, step):
            self.lines.setdefault(step, values)

        def finish(self):
            self.is_open = False

    def init(**settings):
        run = runs.setdefault(settings["id"], FakeRun(settings))
        run.is_open = True
        return run

    module = types.ModuleType("wandb")
    module.init, module.runs = init, runs
    module.errors = types.SimpleNamespace(Error=type("Error", (Exception,), {}))
    module.__spec__ = importlib.util.spec_from_loader("wandb", None, origin="here")
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_a_run_stays_one_run_of_weights_and_biases(tmp_path, wandb):
    for steps in (2, 4):
        run_training(tmp_path, train__num_steps=steps, train__wandb="separation")
    ((code, run),) = wandb.runs.items()
    assert json.loads((tmp_path / "wandb.json").read_text()) == {"id": code}
    assert run.settings["project"] == "separation" and run.settings["name"] == tmp_path.name
    # The stand-in keeps the settings of the first start.
    assert run.settings["config"]["train"]["num_steps"] == 2 and not run.is_open
    logged = {entry["step"]: scalars(entry) for entry in read_metrics(tmp_path)}
    assert list(run.lines) == [1, 2, 3, 4]
    assert all(run.lines[step]["training/loss"] == logged[step]["training/loss"] for step in logged)


def test_what_weights_and_biases_refuses_is_one_line(tmp_path, wandb):
    def refuses(**_):
        raise wandb.errors.Error("no API key\nconfigured")

    wandb.init = refuses
    with pytest.raises(ValueError, match=r"train\.wandb='a': no API key configured; `wandb login`"):
        run_training(tmp_path, train__num_steps=1, train__wandb="a")


def test_a_folder_of_that_name_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="pip install wandb"):
        check_mirrors(load_config("sets/set1.py", {"train.wandb": "a"}))


def test_two_runs_are_two(tmp_path, wandb):
    for name in ("a", "b"):
        run_training(tmp_path / name, train__num_steps=1, train__wandb="separation")
    assert sorted(run.settings["name"] for run in wandb.runs.values()) == ["a", "b"]


@pytest.mark.parametrize(
    ("field", "value", "package"),
    [("train.tensorboard", 1, "tensorboardX"), ("train.wandb", "separation", "wandb")],
)
def test_a_missing_package_is_named(monkeypatch, field, value, package):
    monkeypatch.setattr(mirrors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"{field}=.* pip install {package}"):
        check_mirrors(load_config("sets/set1.py", {field: value}))
    check_mirrors(load_config("sets/set1.py"))


def test_numbers_get_a_group():
    entry = {
        "step": 3,
        "loss": 1.5,
        "validation_onset_f1": 0.5,
        "off_schedule": ["loss"],
        "time": {"seconds_per_step": 2},
    }
    assert scalars(entry) == {
        "training/loss": 1.5,
        "validation/onset_f1": 0.5,
        "time/seconds_per_step": 2.0,
    }
