"""Copies of a run, scored."""

import json
import shutil

import numpy as np
import pytest

from cerberus_jax.inference import Predictor
from experiments.config.loading import load_run_config
from experiments.evaluate import evaluate
from experiments.studies import curve, tracks
from experiments.training.metric_log import MetricLog
from experiments.training.tuning import tune_run
from tests.tiny_run import prepare_data, tiny_config, write_run
from tests.tiny_slakh import make_track


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Copies after one step and after two, and raw songs."""
    root = tmp_path_factory.mktemp("curve")
    config = tiny_config(prepare_data(root / "prepared"))
    for steps in (1, 2):
        workdir = root / f"copy{steps}"
        write_run(workdir, config, steps=range(1, steps + 1), with_notes=True)
        with MetricLog(workdir) as log:
            for step in (1, 2):
                log.write(step, {"time": {"seconds_per_step": 80.0 * step}})
    make_track(root / "raw/train/Track00001", ("piano", "drums"), seconds=3)
    make_track(root / "raw/train/Track00002", ("piano",), seconds=2)
    return root


def test_scores_are_those_of_evaluation_and_of_whole_songs(made, tmp_path, capsys):
    workdirs = [f"{made}/copy1", f"{made}/copy2"]
    arguments = [f"--workdirs={','.join(workdirs)}", f"--root={made}/raw"]
    assert curve.main([*arguments, f"--out={tmp_path}/out.json"]) == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [(row["step"], row["seconds"]) for row in rows.values()] == [(1, 80.0), (2, 240.0)]
    table = capsys.readouterr().out.splitlines()
    assert "| steps | training | test: SI-SDR improvement, dB | test: onset F1 |" in table[0]
    assert "| 2 | 4 min |" in table[3]

    scores = rows[workdirs[1]]["scores"]
    tune_run(workdirs[1])
    expected = evaluate(workdirs[1], step="last")
    assert expected["mean"]["onset_f1"] > 0
    for metric in curve.METRICS:
        assert scores["test"][metric] == pytest.approx(expected["mean"][metric])
        unseen = expected["splits"]["test_unseen"]["mean"][metric]
        assert scores["test_unseen"][metric] == pytest.approx(unseen)
    out = tmp_path / "tracks.json"
    song_flags = [f"--root={made}/raw", f"--networks={workdirs[1]}", f"--out={out}"]
    assert tracks.main(song_flags) == 0
    songs = json.loads(out.read_text())[workdirs[1]]
    pairs = [songs["Track00001"]["piano"], songs["Track00001"]["drums"]]
    values = [pair["si_sdr_improvement"] for pair in pairs]
    assert scores["songs"]["si_sdr_improvement"] == pytest.approx(np.mean(values))
    notes = [pair["onset_f1"] for pair in (*pairs, songs["Track00002"]["piano"])]
    assert scores["songs"]["onset_f1"] == pytest.approx(np.mean(notes))


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_the_copies_stay_as_they_are(made):
    """Their thresholds are tuned for the scores alone."""
    copy = made / "copy1"
    before, stored = contents(copy), Predictor.load(copy, step="last").decoding
    assert curve.last_predictor(copy, load_run_config(copy)).decoding != stored
    assert curve.main([f"--workdirs={copy}"]) == 0
    assert contents(copy) == before


def test_the_last_checkpoint_is_scored_and_not_the_best(made, tmp_path):
    copy = shutil.copytree(made / "copy1", tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints" / "best")
    assert curve.main([f"--workdirs={copy}"]) == 0


def test_what_is_missing_is_said(made, capsys):
    assert curve.main([]) == 1
    assert "--workdirs is missing, e.g. --workdirs=" in capsys.readouterr().err
    assert curve.main([f"--workdirs={made}/copy1,{made}/none"]) == 1
    assert f"{made}/none" in capsys.readouterr().err


def test_copies_of_two_runs_are_refused(made, capsys):
    write_run(made / "other", tiny_config(made / "prepared", seed=1))
    assert curve.main([f"--workdirs={made}/copy1,{made}/other"]) == 1
    error = capsys.readouterr().err
    assert f"copies of one run expected, got {made}/copy1 and {made}/other" in error


def test_songs_without_any_of_the_instruments_are_refused(made, tmp_path, capsys):
    make_track(tmp_path / "raw/train/Track00001", ("organ",), seconds=2)
    assert curve.main([f"--workdirs={made}/copy1", f"--root={tmp_path}/raw"]) == 1
    assert "songs with piano, drums expected, got none" in capsys.readouterr().err


def test_what_a_run_has_not_is_left_out(tmp_path):
    """Unseen programs, and notes."""
    root = prepare_data(tmp_path / "prepared", splits=("train", "validation", "test"))
    workdir = write_run(tmp_path / "run", tiny_config(root, **{"loss.transcription": 0.0}))
    assert curve.main([f"--workdirs={workdir}", f"--out={tmp_path}/out.json"]) == 0
    (row,) = json.loads((tmp_path / "out.json").read_text()).values()
    assert list(row["scores"]) == ["test"]
    assert row["scores"]["test"]["onset_f1"] is None
    assert row["scores"]["test"]["si_sdr_improvement"] is not None


def test_a_score_that_is_not_there_leaves_its_cell_empty():
    scores = {"test": {"si_sdr_improvement": 1.26, "onset_f1": None}}
    table = curve.curve_table([{"step": 5, "seconds": 20.0, "scores": scores}])
    assert table.splitlines()[-1] == "| 5 | 20 s | 1.3 |  |"
