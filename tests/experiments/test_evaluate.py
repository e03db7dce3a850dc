"""From a run's directory to results.json."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from cerberus_jax.checkpoint import locate, store_decoding
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.heads import HEADS
from data_pipeline.planning.excerpt_list import ExcerptList
from experiments import evaluate as module
from experiments.config.loading import load_run_config, save_config
from experiments.config.resume import DATA_FILE
from experiments.evaluate import evaluate, main
from experiments.evaluation import systems
from experiments.evaluation.excerpt_files import export_excerpts
from experiments.evaluation.result_table import UNTUNED
from experiments.evaluation.scoring import METRICS
from experiments.sweeps.points import load_points
from experiments.sweeps.results import Outcome, Row
from experiments.training import data
from tests.full_disk import room_for
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare_data(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(root), steps=(3, 5))


@pytest.fixture(scope="module")
def results(run):
    return evaluate(run)


def test_the_file_holds_what_is_returned(results, run):
    assert json.loads((run / "results.json").read_text()) == results
    names = ["checkpoints", "config.json", "results.json", "results.md"]
    assert sorted(p.name for p in run.iterdir()) == names


def test_data_that_are_not_those_of_the_run_are_said(root, tmp_path, capsys):
    run = write_run(tmp_path, tiny_config(root))
    (run / DATA_FILE).write_text('{"fingerprints": {"tiny": "0123abcd"}}')
    evaluate(run, split="validation")
    assert "0123abcd then, none prepared now); those of now are" in capsys.readouterr().err


def test_the_decoding_is_recorded_and_told_where_it_is_not_tuned(results, run, root, tmp_path):
    settings = asdict(DecodingConfig())
    untuned = {"tuned": False, "per_instrument": dict.fromkeys(INSTRUMENTS, settings)}
    assert results["decoding"] == untuned
    assert UNTUNED in (run / "results.md").read_text()
    tuned = write_run(tmp_path, tiny_config(root, **{"data.num_test_excerpts": 1}))
    settings = dict.fromkeys(INSTRUMENTS, settings | {"threshold": 0.3})
    store_decoding(locate(tuned), settings)
    assert evaluate(tuned)["decoding"] == {"tuned": True, "per_instrument": settings}
    assert UNTUNED not in (tuned / "results.md").read_text()


def test_the_schema(results):
    assert results["instruments"] == list(INSTRUMENTS)
    assert (results["split"], results["step"], results["num_items"]) == ("test", 3, 3)
    assert len(results["items"]) == 3
    assert len({item["id"] for item in results["items"]}) == 3
    blocks = [results, *results["baselines"].values(), results["splits"]["test_unseen"]]
    for block in blocks:
        assert set(block["per_instrument"]) == set(INSTRUMENTS)
        for scores in (*block["per_instrument"].values(), block["mean"]):
            assert set(scores) == set(METRICS)
    assert set(results["baselines"]) == {"mixture", "untrained", "oracle_mask"}
    assert results["config"]["model"]["hidden"] == 8
    assert results["versions"]["jax"]
    assert isinstance(results["commit"], str)


def test_means_are_those_of_the_items(results):
    for name in INSTRUMENTS:
        values = [item["metrics"][name]["si_sdr"] for item in results["items"]]
        assert results["per_instrument"][name]["si_sdr"] == pytest.approx(np.mean(values))
        assert results["num_items_per_instrument"][name]["si_sdr"] == 3
    assert results["per_instrument"]["drums"]["onset_offset_f1"] is None


def test_floor_and_ceiling(results):
    mixture, oracle = results["baselines"]["mixture"], results["baselines"]["oracle_mask"]
    assert mixture["mean"]["si_sdr_improvement"] == 0
    assert mixture["mean"]["onset_f1"] is None
    assert oracle["mean"]["si_sdr_improvement"] > 10
    assert oracle["mean"]["onset_f1"] == 1
    assert oracle["mean"]["frame_f1"] > 0.99
    assert abs(results["mean"]["si_sdr_improvement"]) < 6


def test_the_untrained_network_is_the_same_each_time(results, run):
    again = evaluate(run, step="last")
    assert again["step"] == 5
    assert again["baselines"] == results["baselines"]
    assert evaluate(run, step=3) == results


def test_intervals_hold_the_means(results):
    for name in INSTRUMENTS:
        low, high = results["interval_95"]["per_instrument"][name]["si_sdr"]
        assert low <= results["per_instrument"][name]["si_sdr"] <= high
    low, high = results["interval_95"]["mean"]["onset_f1"]
    assert low <= results["mean"]["onset_f1"] <= high
    assert results["interval_95"]["per_instrument"]["drums"]["onset_offset_f1"] is None


POINTS = dict(load_points("loss_weights", "sets/set1.py"))


@pytest.mark.parametrize("point", POINTS)
def test_all_seven_combinations_of_heads(root, tmp_path, point):
    weights = {f"loss.{name}": POINTS[point].loss[name] for name in HEADS}
    config = tiny_config(root, **weights, **{"data.num_test_excerpts": 1})
    results = evaluate(write_run(tmp_path, config), split="validation")
    separates = point != "transcription"
    clusters = separates and not config.loss.mask_inference
    assert results["assignment"] == ("oracle" if clusters else "network" if separates else None)
    oracle = results["baselines"]["oracle_mask"]["mean"]
    for scores in (results["mean"], oracle):
        assert (scores["si_sdr"] is not None) == separates
        assert (scores["onset_f1"] is not None) == (config.loss.transcription > 0)
    row = Row(point, config, (Outcome(point, config, results),))
    assert (row.mean["si_sdr"] is not None) == separates
    assert (row.mean["onset_f1"] is not None) == (config.loss.transcription > 0)
    assert (results["decoding"] is not None) == (config.loss.transcription > 0)
    table = (tmp_path / "results_validation.md").read_text()
    assert ("oracle assignment" in table) == clusters
    assert (UNTUNED in table) == (config.loss.transcription > 0)


def test_more_excerpts_than_a_batch(root, tmp_path, monkeypatch):
    config = tiny_config(root, **{"data.num_test_excerpts": 5})
    run = write_run(tmp_path, config)
    whole = evaluate(run)
    monkeypatch.setattr(systems, "BATCH_SIZE", 2)
    halves = evaluate(run)
    assert halves["num_items"] == 5
    assert [i["id"] for i in halves["items"]] == [i["id"] for i in whole["items"]]
    assert halves["mean"]["si_sdr"] == pytest.approx(whole["mean"]["si_sdr"], abs=1e-3)


def test_moved_run_and_data(run, root, tmp_path):
    moved = shutil.copytree(run, tmp_path / "moved run")
    data = shutil.copytree(root, tmp_path / "moved data")
    assert evaluate(moved, data_root=str(data))["num_items"] == 3


def test_the_command_prints_a_table_and_leaves_the_scores_of_the_test(results, run, capsys):
    assert main([f"--workdir={run}", "--split=validation"]) == 0
    out = capsys.readouterr().out
    assert f"Written: {run}/results_validation.json, {run}/results_validation.md" in out
    assert json.loads((run / "results_validation.json").read_text())["split"] == "validation"
    assert json.loads((run / "results.json").read_text()) == results
    assert "this network (validation, 3 excerpts of 2 s, step 3)" in out
    assert "oracle" in out
    assert "untrained network" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--workdir is missing"),
        (["--workdir=nowhere"], "holds no config.json"),
        (["--workdir={run}", "--step=4"], "has no checkpoint '4'"),
        (["--workdir={run}", "--split=tset"], "tset"),
        (["--workdir={run}", "--data_root=nowhere"], "data.root"),
        (["--workdir={run}", "song.wav"], "unexpected argument"),
        (["--workdir={run}", "--songs", "--estimates=x"], "--songs and --estimates do not go"),
        (["--workdir={run}", "--songs", "--excerpt_list=x"], "--songs and --excerpt_list do not"),
        (["--workdir={run}", "--excerpt_list=nowhere"], "nowhere: no such list of excerpts"),
        (["--workdir={run}", "--estimates=nowhere"], "holds neither transcription.mid nor piano"),
    ],
)
def test_errors_of_the_command(run, capsys, arguments, message):
    before = (run / "results.json").read_bytes() if (run / "results.json").exists() else None
    assert main([argument.format(run=run) for argument in arguments]) == 1
    assert message in capsys.readouterr().err
    if before is not None:
        assert (run / "results.json").read_bytes() == before


def test_whole_songs(run, capsys):
    assert main([f"--workdir={run}", "--songs"]) == 0
    assert "this network (test, 2 songs, step 3)" in capsys.readouterr().out
    results = json.loads((run / "results_songs.json").read_text())
    assert [item["id"] for item in results["items"]] == ["Track00004", "Track00005"]
    assert (results["unit"], results["excerpt_seconds"]) == ("songs", None)
    assert set(results["baselines"]) == {"mixture", "oracle_mask"}
    assert results["baselines"]["oracle_mask"]["mean"]["onset_f1"] == 1
    assert results["baselines"]["mixture"]["mean"]["si_sdr_improvement"] == 0


@pytest.mark.parametrize("head", ["mask_inference", "transcription"])
def test_whole_songs_by_one_head(root, tmp_path, head):
    weights = {f"loss.{name}": float(name == head) for name in HEADS}
    run = write_run(tmp_path, tiny_config(root, **weights))
    results = evaluate(run, songs=True)
    for scores in (results["mean"], results["baselines"]["oracle_mask"]["mean"]):
        assert (scores["si_sdr"] is not None) == (head == "mask_inference")
        assert (scores["frame_f1"] is not None) == (head == "transcription")


@pytest.mark.parametrize("point", ["deep_clustering", "deep_clustering_transcription"])
def test_whole_songs_by_clusters_are_refused(root, tmp_path, point):
    weights = {f"loss.{name}": POINTS[point].loss[name] for name in HEADS}
    run = write_run(tmp_path, tiny_config(root, **weights))
    with pytest.raises(ValueError, match=r"no mask head, only deep_clustering.* score excerpts"):
        evaluate(run, songs=True)
    assert not (run / "results_songs.json").exists()


def test_files_of_another_tool(run, tmp_path, capsys):
    excerpts, tool = tmp_path / "excerpts", tmp_path / "tool"
    assert main([f"--workdir={run}", f"--export_excerpts={excerpts}"]) == 0
    shutil.copytree(excerpts / "references", tool)
    assert main([f"--workdir={run}", f"--estimates={tool}"]) == 0
    assert "these estimates (test, 3 excerpts of 2 s)" in capsys.readouterr().out
    results = json.loads((tool / "results.json").read_text())
    assert results["mean"]["si_sdr"] == 100
    assert results["mean"]["onset_f1"] == results["mean"]["frame_f1"] == 1
    assert set(results["baselines"]) == {"mixture", "oracle_mask"}
    assert (tool / "results.md").exists()
    assert results["gaps"] == []
    (tool / "0002" / "drums.wav").unlink()
    assert main([f"--workdir={run}", f"--estimates={tool}"]) == 0
    (gap,) = json.loads((tool / "results.json").read_text())["gaps"]
    assert "drums: no waveform" in gap and "1 of 3" in gap and "0002" in gap
    assert gap in capsys.readouterr().out


@pytest.fixture
def listed(run, tmp_path):
    """The excerpts of the run's test split but for the last, as a list."""
    path = tmp_path / "list.json"
    planner, count = data.test_excerpts(load_run_config(run), "test")
    ExcerptList.of(planner, count - 1).save(path)
    return path


def test_listed_excerpts_score_the_same(results, run, root, listed, tmp_path):
    scores = evaluate(run, excerpts=str(listed))
    assert json.loads((run / "results_of_list.json").read_text()) == scores
    assert json.loads((run / "results.json").read_text()) == results
    assert scores["items"] == results["items"][:2]
    assert (scores["num_items"], scores["excerpt_seconds"]) == (2, results["excerpt_seconds"])
    assert scores["config"]["evaluation"]["excerpts"] == str(listed)
    assert scores["splits"] == {}
    config = tiny_config(root, **{"evaluation.excerpts": str(listed)})
    again = evaluate(write_run(tmp_path / "run", config, steps=(3,)))
    assert again["items"] == scores["items"]


def test_listed_excerpts_for_other_tools(run, listed, tmp_path, capsys):
    excerpts = tmp_path / "excerpts"
    arguments = [f"--workdir={run}", f"--excerpt_list={listed}"]
    assert main([*arguments, f"--export_excerpts={excerpts}"]) == 0
    assert "Written: 2 excerpts" in capsys.readouterr().out
    assert main([*arguments, f"--estimates={excerpts / 'references'}"]) == 0
    assert "(test, 2 excerpts of 2 s)" in capsys.readouterr().out
    assert (excerpts / "references" / "results_of_list.json").exists()


def test_a_full_disk_is_met_before_anything_is_scored(results, run, tmp_path, monkeypatch):
    def scored(*_, **__):
        pytest.fail("scored before the directory was tried")

    monkeypatch.setattr(module, "score_item", scored)
    before = (run / "results.json").read_bytes()
    tool = tmp_path / "tool"
    export_excerpts(data.test_excerpts(load_run_config(run), "test")[0], tool, count=3)
    for score in (evaluate, lambda run: module.evaluate_files(run, tool / "references")):
        with room_for(0), pytest.raises(OSError, match="no file can be written here"):
            score(run)
    assert (run / "results.json").read_bytes() == before


def test_an_empty_test_split_is_named(tmp_path):
    root = prepare_data(tmp_path / "data", splits=("train", "validation"))
    run = write_run(tmp_path / "run", tiny_config(root))
    with pytest.raises(ValueError, match=r"test: .* has no such split; it has train, validation"):
        evaluate(run)
    assert not (run / "results.json").exists()


def test_a_checkpoint_of_another_architecture_names_its_parameters(run, root, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    save_config(tiny_config(root, **{"model.hidden": 9}), copy)
    with pytest.raises(ValueError, match=r"another architecture.*embedding_head/kernel \(\[16, "):
        evaluate(copy)
    save_config(tiny_config(root, **{"loss.transcription": 0.0}), copy)
    with pytest.raises(ValueError, match="differ in the heads of loss"):
        evaluate(copy)


def test_a_config_of_another_network_is_refused(run, root, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    save_config(tiny_config(root, instruments=("piano", "bass")), copy)
    with pytest.raises(ValueError, match="differ in instruments"):
        evaluate(copy)
