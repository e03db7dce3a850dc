"""The benchmark of sweeps, at a tiny size: the processes of each side, and what is divided."""

import json
from types import SimpleNamespace

import pytest

from experiments import train
from experiments.benchmarks import sweep
from experiments.sweeps import together
from experiments.training.metric_log import METRICS_FILE
from tests.tiny_run import INSTRUMENTS, prepare_data

TINY = {
    "instruments": ",".join(INSTRUMENTS),
    "batch_size": 2,
    "excerpt_seconds": 0.5,
    "audio.window": 512,
    "audio.hop": 256,
    "data.num_validation_excerpts": 2,
    "loss.deep_clustering": 0,
    "model.layers": 1,
    "model.hidden": 4,
    "model.embedding_dim": 2,
}


def test_a_sweep_is_compared_with_its_points_one_by_one(tmp_path, monkeypatch):
    """Each process takes 10 ms a step and 2 s of the processor for every point."""
    asked = []

    def answers(function, *, environment, names, fields, way, folder):
        assert function == "experiments.benchmarks.sweep:trained"
        asked.append((names, fields["train.num_steps"], way, *environment.values()))
        count = len(names)
        yield {"step_seconds": 0.01, "cpu_seconds": 2.0 * count, "peak_mb": 100.0 + count}

    clock = iter(range(1000))
    monkeypatch.setattr(sweep, "answers", answers)
    monkeypatch.setattr(sweep, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    out = tmp_path / "figures.json"
    root = prepare_data(tmp_path / "data")
    flags = ["--steps=5", "--rounds=2", "--way=stacked", f"--config.data.root={root}"]
    assert sweep.main([*flags, f"--out={out}"]) == 0
    names = [names for names, *_ in asked]
    assert len(names[0]) == 7 and names == 2 * [names[0], *([name] for name in names[0])]
    assert {own[1:3] for own in asked} == {(5, "stacked")}
    folders = [own[3] for own in asked]  # every process finds nothing compiled
    assert len(set(folders)) == len(folders) == 2 * (1 + 7)
    of_sweep, single = json.loads(out.read_text())["rows"]
    assert (of_sweep["processes"], single["processes"]) == (1, 7)
    assert (of_sweep["step_ms"], single["step_ms"]) == pytest.approx((10, 70))
    assert (of_sweep["seconds"], single["seconds"]) == (1, 7)
    assert (of_sweep["cpu_seconds"], single["cpu_seconds"]) == (14, 14)
    assert (of_sweep["peak_mb"], single["peak_mb"]) == (107, 101)
    assert of_sweep["other_seconds"] == pytest.approx(0.95)
    assert (of_sweep["speedup"], of_sweep["speedup_in_all"]) == pytest.approx((7, 7))


@pytest.fixture
def fields(tmp_path, monkeypatch):
    """Of a sweep of two points."""
    monkeypatch.setattr(sweep, "SWEEP", "seeds=2")
    return TINY | {"data.root": str(prepare_data(tmp_path / "data")), "train.num_steps": 1}


def _log(folder, seconds):
    folder.mkdir(parents=True)
    entry = {"step": 1, "time": {"seconds_per_step": seconds}}
    (folder / METRICS_FILE).write_text(json.dumps(entry) + "\n")


def test_one_point_is_trained_as_a_run_by_itself(fields, tmp_path, monkeypatch):
    calls = []

    def train_on(config, batches, *, workdir, validation_batches, scored):
        calls.append((config.seed, len(list(batches)), len(validation_batches), scored.count))
        _log(workdir, 4.0)

    monkeypatch.setattr(train, "train", train_on)
    fields["train.scored_excerpts"] = 3
    (found,) = sweep.trained(["seed_1"], fields, "auto", str(tmp_path / "run"))
    assert calls == [(1, 1, 1, 3)]
    assert [folder.name for folder in (tmp_path / "run").iterdir()] == ["seed_1"]
    assert found["step_seconds"] == 4 and found["cpu_seconds"] > 0 and found["peak_mb"] > 100


def test_several_points_are_trained_together(fields, tmp_path, monkeypatch):
    calls = []

    def train_group(folders, *, way):
        calls.append(([(folder.name, own.seed) for folder, own in folders.items()], way))
        for number, folder in enumerate(folders, 1):
            _log(folder, float(number))

    monkeypatch.setattr(together, "train_group", train_group)
    (found,) = sweep.trained(["seed_0", "seed_1"], fields, "turn", str(tmp_path / "run"))
    assert calls == [([("seed_0", 0), ("seed_1", 1)], "turn")]
    assert found["step_seconds"] == 3
