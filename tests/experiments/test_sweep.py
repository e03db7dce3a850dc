"""Sweeps: the seven points of the paper, skipping and continuing, the table."""

import json

import pytest

from cerberus_jax.checkpoint import saved_steps
from experiments import sweep
from experiments.config.loading import heads_of, load_config, save_config
from tests.full_disk import room_for

SWEEP, SET = "sweeps/loss_weights.py", "sets/set1.py"
MEAN = {"si_sdr": 1.25, "si_sir": 2.0, "si_sar": 3.0} | {
    f"{kind}_{part}": 0.5
    for kind in ("frame", "onset", "onset_offset")
    for part in ("precision", "recall", "f1")
}


class Recorder:
    """Stands for training and evaluation."""

    def __init__(self, *, stop_at=""):
        self.trained, self.evaluated, self.stop_at = [], [], stop_at

    def train(self, config, folder):
        self.trained.append(folder.name)
        save_config(config, folder)
        if folder.name == self.stop_at:
            raise KeyboardInterrupt
        for kind in ("last", "best"):
            (folder / "checkpoints" / kind / str(config.train.num_steps)).mkdir(
                parents=True, exist_ok=True
            )

    def evaluate(self, folder):
        self.evaluated.append(folder.name)
        return {"mean": MEAN, "split": "test", "step": saved_steps(folder)["best"]}

    def run(self, points, workdir):
        return sweep.run_points(points, workdir, train=self.train, evaluate=self.evaluate)


def test_the_seven_points_have_the_heads_of_the_paper():
    points = sweep.load_points(SWEEP, SET)
    short = {"deep_clustering": "D", "mask_inference": "M", "transcription": "T"}
    heads = ["".join(short[head] for head in heads_of(config)) for _, config in points]
    assert heads == ["D", "M", "T", "DM", "DT", "MT", "DMT"]
    for _, config in points:
        assert sum(config.loss[name] for name in short) == pytest.approx(1)


def test_overrides_reach_every_point():
    points = sweep.load_points(SWEEP, SET, [("train.num_steps", "7")])
    assert {config.train.num_steps for _, config in points} == {7}


def test_all_points_run_once_and_the_table_is_written(tmp_path):
    points = sweep.load_points(SWEEP, SET)
    first = Recorder()
    rows = first.run(points, tmp_path)
    assert first.trained == first.evaluated == [name for name, _ in points]
    assert json.loads((tmp_path / "sweep.json").read_text()) == rows
    assert (tmp_path / "sweep.md").read_text() == sweep.table(rows)
    again = Recorder()
    assert again.run(points, tmp_path) == rows
    assert again.trained == []


def test_a_stopped_sweep_goes_on_with_the_stopped_point(tmp_path):
    points = sweep.load_points(SWEEP, SET)
    with pytest.raises(KeyboardInterrupt):
        Recorder(stop_at="transcription").run(points, tmp_path)
    assert len(json.loads((tmp_path / "sweep.json").read_text())) == 2
    rest = Recorder()
    rows = rest.run(points, tmp_path)
    assert rest.trained == [name for name, _ in points[2:]]
    assert len(rows) == 7


def test_more_steps_train_a_finished_point_further(tmp_path):
    Recorder().run(sweep.load_points(SWEEP, SET)[:1], tmp_path)
    longer = Recorder()
    longer.run(sweep.load_points(SWEEP, SET, [("train.num_steps", "60000")])[:1], tmp_path)
    assert longer.trained == longer.evaluated == ["deep_clustering"]


def test_results_of_a_shorter_run_do_not_count_when_the_longer_one_is_stopped(tmp_path):
    Recorder().run(sweep.load_points(SWEEP, SET)[:1], tmp_path)
    longer = sweep.load_points(SWEEP, SET, [("train.num_steps", "60000")])[:1]
    with pytest.raises(KeyboardInterrupt):
        Recorder(stop_at="deep_clustering").run(longer, tmp_path)
    rest = Recorder()
    rest.run(longer, tmp_path)
    assert rest.evaluated == ["deep_clustering"]


def test_a_look_at_an_unfinished_point_does_not_finish_it(tmp_path):
    points = sweep.load_points(SWEEP, SET)[:1]
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
    points = sweep.load_points(SWEEP, SET)[:1]
    Recorder().run(points, tmp_path)
    file = tmp_path / points[0][0] / "results.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert sweep.finished_results(points[0][1], file.parent) is None


def test_results_cut_short_are_made_again(tmp_path):
    points = sweep.load_points(SWEEP, SET)[:1]
    Recorder().run(points, tmp_path)
    (tmp_path / "deep_clustering" / "results.json").write_text('{"mean"')
    again = Recorder()
    again.run(points, tmp_path)
    assert again.evaluated == ["deep_clustering"]


def test_a_full_disk_leaves_the_earlier_table_whole(tmp_path):
    points = sweep.load_points(SWEEP, SET)[:1]
    Recorder().run(points, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    with room_for(100), pytest.raises(OSError, match=r"File too large.*sweep\.json'$"):
        Recorder().run(points, tmp_path)
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    assert after == before


def test_another_config_in_the_folder_is_refused_before_anything_runs(tmp_path):
    points = sweep.load_points(SWEEP, SET)
    save_config(load_config("sets/set2.py"), tmp_path / "cerberus")
    recorder = Recorder()
    with pytest.raises(ValueError, match="written by another config"):
        recorder.run(points, tmp_path)
    assert recorder.trained == []


def test_the_table_leaves_absent_heads_blank():
    configs = dict(sweep.load_points(SWEEP, SET))
    rows = [
        sweep.table_row(name, configs[name], {"mean": MEAN})
        for name in ("mask_inference", "transcription", "cerberus")
    ]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in sweep.table(rows).splitlines()
    ]
    assert lines[2] == ["mask inference", "", "1", "", "1.2", "2.0", "3.0", "", "", ""]
    assert lines[3] == ["transcription", "", "", "1", "", "", "", *["0.50/0.50/0.50"] * 3]
    assert lines[4][1:4] == ["0.1", "0.1", "0.8"]
    assert len({len(line) for line in lines}) == 1


def test_a_head_that_is_there_but_not_scored_is_a_dash():
    config = dict(sweep.load_points(SWEEP, SET))["deep_clustering"]
    row = sweep.table_row("deep_clustering", config, {"mean": {"si_sdr": None}})
    assert sweep.table([row]).count("–") == 3


def test_clusters_assigned_by_the_reference_are_starred():
    configs = dict(sweep.load_points(SWEEP, SET))
    rows = [
        sweep.table_row(name, configs[name], {"mean": MEAN, "assignment": assignment})
        for name, assignment in (("deep_clustering", "oracle"), ("cerberus", "network"))
    ]
    assert rows[0]["assignment"] == "oracle"
    text = sweep.table(rows)
    assert "| deep clustering* | 1 " in text and "| cerberus  " in text
    assert text.endswith(sweep.STARRED + "\n")
    assert sweep.STARRED not in sweep.table(rows[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is missing"),
        (["--config=sets/set1.py"], "--sweep is missing"),
        (["--config=sets/set1.py", "--sweep=sweeps/none.py", "--workdir=w"], "sweeps/loss_weights"),
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


def test_points_with_one_name_are_refused(tmp_path):
    (tmp_path / "own.py").write_text("def get_sweep():\n    return [('a', {}), ('a', {})]\n")
    with pytest.raises(ValueError, match="expected points with a name each"):
        sweep.load_points(tmp_path / "own.py", SET)
