"""Which changes a run goes on with: fields, schedules, and a directory of data that was moved."""

import json
import shutil

import pytest

from data_pipeline.prepared.layout import REPORT
from experiments import run
from experiments.config.loading import load_config, load_run_config, save_config
from experiments.config.resume import (
    DATA_FILE,
    check_resume,
    fingerprints,
    keep_fingerprints,
    saved_soundfonts,
)
from tests.tiny_run import prepare_data, tiny_config


def _check(saved, present, workdir):
    save_config(load_config("sets/set1.py", saved), workdir)
    check_resume(load_config("sets/set1.py", present), workdir)


def test_reading_and_logging_may_differ_but_nothing_else(tmp_path):
    allowed = {
        "train.num_steps": 7,
        "train.log_every": 3,
        "train.checkpoint_every": 9,
        "parallel": "pmap",
        "data.num_threads": 1,
    }
    _check({}, allowed, tmp_path)
    changed = load_config("sets/set2.py", {"model.hidden": 7})
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(
        ValueError, match=r"instruments: \[.*\] there.*model.hidden: 300 there, 7 now"
    ):
        check_resume(changed, tmp_path)
    assert (tmp_path / "config.json").read_text() == before


def test_of_many_differences_the_first_are_named(tmp_path):
    fields = ("loss.deep_clustering", "loss.mask_inference", "model.hidden", "model.layers", "seed")
    with pytest.raises(ValueError) as raised:
        _check({}, {"batch_size": 9} | dict.fromkeys(fields, 7), tmp_path)
    text = str(raised.value)
    assert "batch_size: 40 there, 9 now; loss.deep_clustering: 0.1 there, 7.0 now; " in text
    assert "now; and 2 more); give the same values" in text


def test_a_directory_without_a_config_is_free(tmp_path):
    check_resume(load_config("sets/set1.py"), tmp_path / "new")


@pytest.mark.parametrize(
    ("schedule", "field", "free"),
    [
        ("cosine", "train.num_steps", "train.eval_every"),
        ("plateau", "train.eval_every", "train.num_steps"),
    ],
)
def test_what_a_schedule_depends_on_may_not_differ(tmp_path, schedule, field, free):
    saved = {"optimizer.schedule": schedule, "train.num_steps": 100, "train.eval_every": 100}
    _check(saved, saved | {free: 200}, tmp_path)
    with pytest.raises(ValueError, match=rf"{field}: 100 there, 200 now \(.*'{schedule}'"):
        _check(saved, saved | {field: 200}, tmp_path)


@pytest.fixture
def prepared(tmp_path):
    """Prepared data with a report, and the directory of a run that began with them."""
    root = prepare_data(tmp_path / "here")
    folder = next(root.glob("tiny/*"))
    (folder / REPORT).write_text(json.dumps({"fingerprint": "0123abcd"}))
    workdir = tmp_path / "run"
    save_config(tiny_config(root), workdir)
    keep_fingerprints(root, workdir, ["a.sf2"])
    return root, workdir


def _move(root, *, fingerprint="0123abcd"):
    moved = root.with_name("there")
    shutil.move(root, moved)
    report = next(moved.glob(f"tiny/*/{REPORT}"))
    report.write_text(json.dumps({"fingerprint": fingerprint}))
    return moved


def test_the_fingerprint_is_kept_beside_the_config(prepared):
    root, workdir = prepared
    assert fingerprints(root) == fingerprints(root / "tiny") == {"tiny": "0123abcd"}
    content = {"fingerprints": {"tiny": "0123abcd"}, "soundfonts": ["a.sf2"]}
    assert json.loads((workdir / DATA_FILE).read_text()) == content
    assert saved_soundfonts(workdir) == ["a.sf2"]
    (workdir / DATA_FILE).write_text('{"fingerprints": {"tiny": "0123abcd"}}')
    assert saved_soundfonts(workdir) == []


def test_moved_data_are_the_same_data(prepared, monkeypatch):
    root, workdir = prepared
    monkeypatch.chdir(root / "tiny")
    assert fingerprints(".") == fingerprints("..") == {"tiny": "0123abcd"}
    monkeypatch.undo()
    check_resume(tiny_config(_move(root)), workdir)


def test_other_data_are_refused_wherever_they_lie(prepared):
    root, workdir = prepared
    moved = _move(root, fingerprint="99999999")
    with pytest.raises(ValueError, match=r"data.root: .*here' there.*there' now \(and the data"):
        check_resume(tiny_config(moved), workdir)
    with pytest.raises(ValueError, match="tiny 0123abcd then, tiny 99999999 now"):
        keep_fingerprints(moved, workdir)
    with pytest.raises(ValueError, match=r"data.root"):
        check_resume(tiny_config(root.with_name("nowhere")), workdir)


def test_a_run_that_knows_no_fingerprint_keeps_its_directory(prepared):
    root, workdir = prepared
    (workdir / DATA_FILE).unlink()
    with pytest.raises(ValueError, match=r"data.root: .*here' there"):
        check_resume(tiny_config(_move(root)), workdir)


def test_a_broken_file_of_fingerprints_is_named(prepared):
    root, workdir = prepared
    (workdir / DATA_FILE).write_text("[1]")
    with pytest.raises(ValueError, match=r"data.json: not the fingerprints of the data of a run"):
        check_resume(tiny_config(_move(root)), workdir)


def test_a_finished_run_learns_where_its_data_are(prepared, monkeypatch):
    """Evaluation and tuning read the directory from the run's config."""
    root, workdir = prepared
    moved = _move(root)
    monkeypatch.setattr("experiments.train.start_step", lambda workdir: 10)
    monkeypatch.setattr(run, "tune_thresholds", lambda workdir: None)
    run.train_run(tiny_config(moved, **{"train.num_steps": 10}), workdir)
    config = load_run_config(workdir)
    assert config.data.root == str(moved)
    assert config.train.num_steps == tiny_config(root).train.num_steps
