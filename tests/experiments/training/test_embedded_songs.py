"""A run goes on with the embedded songs that it began with; of other ones it says so in advance."""

import json

import pytest

from cerberus_jax.checkpoint import saved_steps
from data_pipeline import minislakh
from data_pipeline.prepared.layout import RECORDS_INFO, REPORT, VERSION
from experiments import demo, evaluate, run, sweep
from experiments.config.loading import load_config, save_config
from experiments.config.resume import DATA_FILE, keep_fingerprints
from experiments.runtime.cache_folder import CACHE_VARIABLE, cache_folder
from experiments.sweeps import together
from experiments.training import embedded
from tests.tiny_run import prepare_data, tiny_config, write_run

EARLIER = "minislakh-wide-0-480"
REFUSED = rf"began with the songs {EARLIER}"


@pytest.fixture(autouse=True)
def rendered(tmp_path, monkeypatch):
    """An empty cache, in which what would be rendered is an error."""

    def build(*_, **__):
        raise AssertionError("songs were rendered")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(minislakh, "build", build, raising=False)


def _prepared(root):
    (root / "minislakh" / VERSION).mkdir(parents=True)
    (root / "minislakh" / VERSION / RECORDS_INFO).touch()
    (root / "minislakh" / VERSION / REPORT).write_text('{"fingerprint": "0123"}')
    return root


def _began(config, workdir, songs=EARLIER):
    save_config(config, workdir)
    keep_fingerprints(_prepared(workdir / "prepared"), workdir, [], songs)
    return workdir


def test_both_are_named_and_where_those_of_then_are(tmp_path):
    config = load_config("sets/set4.py")
    workdir = _began(config, tmp_path / "run")
    with pytest.raises(ValueError, match=rf"{REFUSED}, which are not in the cache") as raised:
        embedded.check_songs(config, workdir)
    now = embedded.songs(config)
    assert f"makes {now}; give the folder of then by --config.data.root" in str(raised.value)
    then = _prepared(cache_folder() / EARLIER / "prepared")
    with pytest.raises(ValueError, match=rf"{REFUSED}, which are in {then}; this version"):
        embedded.check_songs(config, workdir)
    embedded.check_songs(load_config("sets/set4.py", {"data.root": str(then)}), workdir)


@pytest.mark.parametrize("songs", ["", None])
def test_a_run_of_the_same_songs_or_unknown_ones_goes_on(tmp_path, songs):
    config = load_config("sets/set4.py")
    workdir = _began(config, tmp_path, embedded.songs(config) if songs is None else songs)
    embedded.check_songs(config, workdir)


def test_training_is_refused(tmp_path):
    config = tiny_config("")
    with pytest.raises(ValueError, match=REFUSED):
        run.train_run(config, _began(config, tmp_path))


def test_so_is_the_search_for_thresholds_but_not_a_run_that_has_them(tmp_path):
    config = tiny_config("", **{"train.num_steps": 3})
    workdir = _began(config, write_run(tmp_path, config))
    with pytest.raises(ValueError, match=REFUSED):
        run.train_run(config, workdir)
    for kind, step in saved_steps(workdir).items():
        (workdir / "checkpoints" / kind / str(step) / "decoding.json").write_text("{}")
    run.train_run(config, workdir)


def test_the_demo_is_refused(tmp_path, capsys):
    workdir = _began(load_config(demo.SET), tmp_path / "run")
    assert demo.main([f"--workdir={workdir}"]) == 1
    assert f"began with the songs {EARLIER}" in capsys.readouterr().err
    assert demo.main([f"--workdir={workdir}", "--config.seed=3"]) == 1
    assert "seed: 0 there, 3 now" in capsys.readouterr().err


def test_a_sweep_is_refused_where_a_point_is_not_finished(tmp_path, monkeypatch):
    points = [("a", tiny_config("")), ("b", tiny_config("", seed=1))]
    for name, config in points:
        _began(config, tmp_path / name)
    ends = {"train": None, "evaluate": None}
    with pytest.raises(ValueError, match=REFUSED):
        sweep.run_points(points, tmp_path, **ends)
    monkeypatch.setattr(sweep, "_outcome", lambda *_: "finished")
    monkeypatch.setattr(sweep, "write_tables", lambda *_: None)
    monkeypatch.setattr(sweep, "page_html", lambda *_: "")
    assert sweep.run_points(points, tmp_path, **ends) == ["finished"] * 2


def test_evaluation_says_it_before_it_renders(tmp_path, capsys):
    config = tiny_config("")
    workdir = _began(config, write_run(tmp_path, config))
    with pytest.raises(AssertionError, match="songs were rendered"):
        evaluate.evaluate(workdir)
    assert f"began with the songs {EARLIER}" in capsys.readouterr().err


def _songs_written_by(train, tmp_path, monkeypatch):
    """What `data.json` says after training on prepared data that stand for the embedded ones."""
    root = prepare_data(tmp_path / "data")
    (next(root.glob("tiny/*")) / REPORT).write_text('{"fingerprint": "0123"}')
    monkeypatch.setattr(embedded, "root", lambda _: root)
    config = tiny_config("")
    train(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / DATA_FILE).read_text())["songs"] == embedded.songs(config)


def test_a_run_writes_down_its_songs(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.train.train", lambda *_, **__: {"step": 0})
    monkeypatch.setattr(run, "tune_thresholds", lambda _: None)
    _songs_written_by(run.train_run, tmp_path, monkeypatch)


def test_a_sweep_writes_down_its_songs(tmp_path, monkeypatch):
    monkeypatch.setattr(together.train, "train_together", lambda *_, **__: None)
    _songs_written_by(
        lambda config, workdir: together.train_group({workdir: config}, way="auto"),
        *(tmp_path, monkeypatch),
    )
