"""The whole way on a tiny MiniSlakh: train by the literal command, resume, evaluate, separate.

Slow for a test, and the one that a newcomer's first hour depends on.
"""

import csv
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import soundfile

from cerberus_jax import checkpoint, parallel
from cerberus_jax.steps import init_state
from data_pipeline.io.midi import read_midi
from experiments import evaluate, report, run, separate, sweep, train
from experiments.config.loading import load_run_config
from experiments.runtime.cache_folder import CACHE_VARIABLE
from experiments.training import data
from experiments.training.metric_log import read_metrics
from tests import ROOT

INSTRUMENTS = ["piano", "guitar", "bass", "drums", "strings"]
SMALL = [
    "--config.data.minislakh_songs=4",
    "--config.batch_size=4",
    "--config.excerpt_seconds=1.6",
    "--config.model.layers=2",
    "--config.model.hidden=8",
    "--config.data.num_validation_excerpts=4",
    "--config.data.num_test_excerpts=3",
    "--config.train.log_every=2",
    "--config.train.eval_every=4",
    "--config.train.checkpoint_every=5",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The user's cache, empty at first, for this module alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """A run of ten steps, by the literal command from the repository's root."""
    workdir = tmp_path_factory.mktemp("runs") / "set4"
    command = [sys.executable, "-m", "experiments.run", "--config=sets/set4.py"]
    result = subprocess.run(
        [*command, f"--workdir={workdir}", *SMALL, "--config.train.num_steps=10"],
        cwd=ROOT,
        env=os.environ | {CACHE_VARIABLE: str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.fail(result.stdout[-2000:] + result.stderr[-2000:])
    return workdir, result


def _state(workdir):
    config = load_run_config(workdir)
    task = train.task_of(config)
    batch = next(iter(data.batches(config, "train", num_steps=1)))
    like = jax.eval_shape(lambda: init_state(task, jax.random.key(0), batch))
    same = parallel.replicated(parallel.make_mesh())
    return jax.tree.map(np.asarray, checkpoint.restore_state(workdir, like, same))


def _without_time(workdir):
    return [{k: v for k, v in e.items() if k != "time"} for e in read_metrics(workdir)]


def test_the_card_command_trains(trained):
    workdir, result = trained
    assert {p.name for p in workdir.iterdir()} >= {"config.json", "metrics.jsonl", "checkpoints"}
    assert [e["step"] for e in read_metrics(workdir)] == [2, 4, 6, 8, 10]
    assert checkpoint.saved_steps(workdir)["last"] == 10
    assert "Trained  to step 10" in result.stdout
    assert "\r" not in result.stderr  # no bar where nobody looks
    assert "experiments.evaluate" in result.stdout  # what to do next


def test_stopped_at_step_5_and_started_again_it_is_the_same_run(trained, tmp_path):
    workdir, _ = trained
    command = ["--config=sets/set4.py", f"--workdir={tmp_path}", *SMALL]
    assert run.main([*command, "--config.train.num_steps=5"]) == 0
    assert run.main([*command, "--config.train.num_steps=10"]) == 0
    assert _without_time(tmp_path) == _without_time(workdir)
    jax.tree.map(np.testing.assert_array_equal, _state(tmp_path), _state(workdir))


def test_another_config_is_refused_and_nothing_is_lost(trained, capsys):
    workdir, _ = trained
    before = (workdir / "config.json").read_bytes()
    arguments = ["--config=sets/set4.py", f"--workdir={workdir}", *SMALL, "--config.seed=7"]
    assert run.main([*arguments, "--config.train.num_steps=10"]) == 1
    error = capsys.readouterr().err
    assert "seed: 0 there, 7 now" in error
    assert (workdir / "config.json").read_bytes() == before


def test_evaluation_writes_results(trained, capsys):
    workdir, _ = trained
    assert evaluate.main([f"--workdir={workdir}"]) == 0
    results = json.loads((workdir / "results.json").read_text())
    assert results["instruments"] == INSTRUMENTS
    assert results["num_items"] == 3 and len(results["items"]) == 3
    for name, best in results["baselines"]["oracle_mask"]["per_instrument"].items():
        found = results["per_instrument"][name]
        assert found["si_sdr"] < best["si_sdr"] and found["onset_f1"] < best["onset_f1"]
    oracle = results["baselines"]["oracle_mask"]["mean"]
    assert oracle["si_sdr_improvement"] > 5 > results["mean"]["si_sdr_improvement"]
    table = capsys.readouterr().out
    assert "mixture" in table and "untrained" in table and "oracle" in table


def test_separation_of_a_held_out_song(trained, cache, tmp_path):
    workdir, _ = trained
    tree = next(cache.glob("minislakh-*/tree"))
    song = next((tree / "test").glob("*/mix.flac"))
    flags = [f"--workdir={workdir}", f"--out={tmp_path}", "--threshold=0.01"]
    assert separate.main([*flags, str(song)]) == 0
    folder = tmp_path / "mix"
    mixture, rate = soundfile.read(song, dtype="float32")
    stems = [soundfile.read(folder / f"{name}.wav", dtype="float32")[0] for name in INSTRUMENTS]
    assert all(stem.shape == mixture.shape for stem in stems) and rate == 16000
    np.testing.assert_allclose(sum(stems), mixture, atol=5 / 32768)
    with (folder / "notes.csv").open() as file:
        assert {row["instrument"] for row in csv.DictReader(file)} == set(INSTRUMENTS)
    assert [part.name for part in read_midi(folder / "transcription.mid")] == INSTRUMENTS


def test_the_report_is_one_page(trained):
    workdir, _ = trained
    assert report.main([f"--workdir={workdir}"]) == 0
    page = (workdir / "report" / "index.html").read_text()
    assert "piano" in page and "<svg" in page


def test_a_sweep_over_two_weightings_and_two_seeds(cache, tmp_path, capsys):
    """One head each, so that every head is left out once; the second start finds all done."""
    points = [
        ("masks", {"loss.deep_clustering": 0.0, "loss.transcription": 0.0}),
        ("rolls", {"loss.deep_clustering": 0.0, "loss.mask_inference": 0.0}),
    ]
    file = tmp_path / "two.py"
    file.write_text(f"def points():\n    yield from {points!r}\n")
    out = tmp_path / "out"
    arguments = ["--config=sets/set1.py", f"--sweep={file}:points*seeds=2", f"--workdir={out}"]
    arguments += [*SMALL, "--config.train.num_steps=2"]
    assert sweep.main(arguments) == 0
    table = (out / "sweep.md").read_text()
    assert "| masks | 2 |" in table and "| rolls | 2 |" in table
    again = json.loads((out / "masks__seed_1" / "results.json").read_text())
    assert again["mean"]["onset_f1"] is None and again["mean"]["si_sdr"] is not None
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*") if path.is_file()}
    assert sweep.main(arguments) == 0
    assert (out / "sweep.md").read_text() == table
    assert before == {path: path.stat().st_mtime_ns for path in before}
    run_again = [f"--workdir={out / 'rolls__seed_0'}", *SMALL, "--config=sets/set1.py"]
    run_again += [f"--config.{field}={value}" for field, value in points[1][1].items()]
    assert run.main([*run_again, "--config.train.num_steps=2"]) == 0
    assert "Nothing to train" in capsys.readouterr().out
