"""Sweeps: the seven points of the paper, skipping and continuing, the table."""

import functools
import itertools
import json
import os

import jax
import numpy as np
import pytest

from cerberus_jax import checkpoint
from cerberus_jax.checkpoint import saved_steps
from experiments import sweep
from experiments.config.loading import build_config, flatten, load_config, save_config
from experiments.runtime.run_lock import run_lock
from experiments.sweeps import together
from experiments.sweeps.diverged import set_apart
from experiments.sweeps.points import load_points
from experiments.training.metric_log import MetricLog
from tests.full_disk import room_for
from tests.tiny_run import prepare_data, tiny_config

SWEEP, SET = "loss_weights", "sets/set1.py"
MEAN = {"si_sdr": 1.25, "si_sir": 2.0, "si_sar": 3.0} | {
    f"{kind}_{part}": 0.5
    for kind in ("frame", "onset", "onset_offset")
    for part in ("precision", "recall", "f1")
}


class Recorder:
    """Stands for training and evaluation."""

    def __init__(self, *, stop_at="", diverges="", at_once=len):
        self.trained, self.evaluated, self.stop_at = [], [], stop_at
        self.diverges, self.at_once = diverges, at_once

    def train(self, configs):
        for folder, config in configs.items():
            self.trained.append(folder.name)
            save_config(config, folder)
        for folder, config in configs.items():
            if folder.name == self.stop_at:
                raise KeyboardInterrupt
            if folder.name == self.diverges:
                set_apart(folder, config, ValueError("loss not finite at step 3"))
                continue
            for kind in ("last", "best"):
                (folder / "checkpoints" / kind / str(config.train.num_steps)).mkdir(
                    parents=True, exist_ok=True
                )

    def evaluate(self, folder):
        self.evaluated.append(folder.name)
        return {"mean": MEAN, "split": "test", "step": saved_steps(folder)["best"]}

    def evaluate_or_stop(self, folder):
        if folder.name == self.stop_at:
            raise KeyboardInterrupt
        return _scored(folder)

    def run(self, points, workdir):
        return sweep.run_points(
            points, workdir, train=self.train, evaluate=self.evaluate, at_once=self.at_once
        )


def test_all_points_train_together_once_and_the_table_is_written(tmp_path):
    points = load_points(SWEEP, SET)
    first = Recorder()
    found = first.run(points, tmp_path)
    names = [name for name, _ in points]
    assert first.trained == first.evaluated == [own.name for own in found] == names
    table = (tmp_path / "sweep.md").read_text()
    assert "| cerberus | 1 | 0.1 | 0.1 | 0.8 | 1.2 |" in table
    assert (tmp_path / "sweep.csv").read_text().count("\n") == 1 + 2 * len(points)
    again = Recorder()
    again.run(points, tmp_path)
    assert again.trained == [] and (tmp_path / "sweep.md").read_text() == table


def test_a_stopped_sweep_goes_on_with_the_part_that_was_stopped(tmp_path):
    points = load_points(SWEEP, SET)
    in_threes = {"at_once": lambda group: 3}
    with pytest.raises(KeyboardInterrupt):
        Recorder(stop_at="chimera", **in_threes).run(points, tmp_path)
    rest = Recorder(**in_threes)
    assert len(rest.run(points, tmp_path)) == 7
    assert rest.trained == rest.evaluated == [name for name, _ in points[2:]]


def test_a_point_that_diverges_is_reported_and_set_apart(tmp_path):
    points = load_points(SWEEP, SET)
    first = Recorder(diverges="chimera")
    found = first.run(points, tmp_path)
    assert [own.name for own in found if own.apart] == ["chimera"]
    assert "chimera" not in first.evaluated and len(first.evaluated) == 6
    table = (tmp_path / "sweep.md").read_text()
    assert "chimera is set apart: loss not finite at step 3" in table
    again = Recorder()
    again.run(points, tmp_path)
    assert again.trained == [] and (tmp_path / "sweep.md").read_text() == table
    more = load_points(SWEEP, SET, [("train.skip_nonfinite", "9")])
    again.run(more, tmp_path)
    assert again.trained == ["chimera"]


def test_more_steps_train_a_finished_point_further(tmp_path):
    Recorder().run(load_points(SWEEP, SET)[:1], tmp_path)
    longer = Recorder()
    longer.run(load_points(SWEEP, SET, [("train.num_steps", "60000")])[:1], tmp_path)
    assert longer.trained == longer.evaluated == ["deep_clustering"]


def test_results_of_a_shorter_run_do_not_count_when_the_longer_one_is_stopped(tmp_path):
    Recorder().run(load_points(SWEEP, SET)[:1], tmp_path)
    longer = load_points(SWEEP, SET, [("train.num_steps", "60000")])[:1]
    with pytest.raises(KeyboardInterrupt):
        Recorder(stop_at="deep_clustering").run(longer, tmp_path)
    rest = Recorder()
    rest.run(longer, tmp_path)
    assert rest.evaluated == ["deep_clustering"]


def test_a_look_at_an_unfinished_point_does_not_finish_it(tmp_path):
    points = load_points(SWEEP, SET)[:1]
    ((name, config),) = points
    recorder = Recorder()
    recorder.run(points, tmp_path)
    folder = tmp_path / name
    steps = config.train.num_steps
    (folder / "checkpoints/last" / str(steps)).rename(folder / "checkpoints/last/5")
    assert sweep.finished_results(config, folder) is None
    (folder / "checkpoints/last/5").rename(folder / "checkpoints/last" / str(steps))
    assert sweep.finished_results(config, folder)["mean"] == MEAN


@pytest.mark.parametrize("change", [{"split": "validation"}, {"step": 5}])
def test_scores_of_another_split_or_step_are_not_those_of_the_sweep(tmp_path, change):
    points = load_points(SWEEP, SET)[:1]
    Recorder().run(points, tmp_path)
    file = tmp_path / points[0][0] / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert sweep.finished_results(points[0][1], file.parent) is None


def test_results_cut_short_are_made_again(tmp_path):
    points = load_points(SWEEP, SET)[:1]
    Recorder().run(points, tmp_path)
    (tmp_path / "deep_clustering" / "results.json").write_text('{"mean"')
    again = Recorder()
    again.run(points, tmp_path)
    assert again.evaluated == ["deep_clustering"]


def test_a_full_disk_leaves_the_earlier_table_whole(tmp_path):
    points = load_points(SWEEP, SET)[:1]
    Recorder().run(points, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    with room_for(100), pytest.raises(OSError, match=r"File too large.*sweep\.md'$"):
        Recorder().run(points, tmp_path)
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert after == before


def test_another_config_in_the_folder_is_refused_before_anything_runs(tmp_path):
    points = load_points(SWEEP, SET)
    save_config(load_config("sets/set2.py"), tmp_path / "cerberus")
    recorder = Recorder()
    with pytest.raises(ValueError, match="written by another config"):
        recorder.run(points, tmp_path)
    assert recorder.trained == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is missing"),
        (["--config=sets/set1.py", "--workdir=w"], "--sweep is missing"),
        ([f"--config={SET}", "--sweep=none.py", "--workdir=w"], "loss_weights"),
        ([f"--config={SET}", "--sweep=los_weights", "--workdir=w"], "loss_weights"),
        ([f"--config={SET}", "--sweep=seeds=x", "--workdir=w"], "seeds=5"),
        ([f"--config={SET}", "--sweep=seeds", "--grid=seed=1", "--workdir=w"], "two factors"),
        ([f"--config={SET}", "--grid=seed=", "--workdir=w"], "FIELD=VALUE"),
        (
            [f"--config={SET}", f"--sweep={SWEEP}", "--workdir=w", "--config.loss.transcription=1"],
            "its points set loss.transcription",
        ),
    ],
)
def test_bad_requests_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert sweep.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def _scored(folder):
    """Results that tell every parameter of the checkpoint, in place of an evaluation of seconds."""
    params = jax.tree.leaves(checkpoint.restore_model(folder)[1])
    mean = MEAN | {"si_sdr": sum(float(np.abs(leaf).sum()) for leaf in params)}
    return {"mean": mean, "split": "test", "step": saved_steps(folder)["best"]}


def test_a_sweep_that_was_stopped_twice_ends_with_the_same_table(tmp_path, monkeypatch):
    """Once while it trains, once between two evaluations; a network trained on real batches."""
    rhythm = {f"train.{name}": 2 for name in ("log_every", "eval_every", "checkpoint_every")}
    fields = {"loss.deep_clustering": 0, "model.hidden": 4, "train.num_steps": 6} | rhythm
    config = tiny_config(prepare_data(tmp_path / "data"), **fields)
    points = [(f"seed_{seed}", build_config(flatten(config) | {"seed": seed})) for seed in (0, 1)]

    def run(workdir):
        train = functools.partial(together.train_group, way="auto")
        sweep.run_points(points, tmp_path / workdir, train=train, evaluate=scored)
        return [(tmp_path / workdir / f"sweep.{kind}").read_text() for kind in ("md", "csv")]

    scored = _scored
    through = run("through")
    write, lines = MetricLog.write, itertools.count(1)

    def stopped_writing(*args):
        if next(lines) == 4:
            raise KeyboardInterrupt
        write(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MetricLog, "write", stopped_writing)
        run("stopped")
    scored = Recorder(stop_at="seed_1").evaluate_or_stop
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    scored = _scored
    assert run("stopped") == through


def test_two_sweeps_in_one_directory_are_refused_by_the_process_at_work(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sweep, "keep_compiled", lambda: None)
    arguments = ["--config=sets/set1.py", "--sweep=loss_weights", f"--workdir={tmp_path}"]
    with run_lock(tmp_path):
        assert sweep.main(arguments) == 1
    assert f"{tmp_path} is in use by process {os.getpid()}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
