"""A run becomes one file, which separates songs and which training begins with."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from cerberus_jax import checkpoint
from cerberus_jax.checkpoint import store_decoding
from cerberus_jax.inference import Predictor
from cerberus_jax.network_file import load_network
from cerberus_jax.parameter_shapes import by_name
from cerberus_jax.steps import init_state
from data_pipeline.io.audio import read_audio
from experiments import export, run, separate
from experiments.config.resume import DATA_FILE
from experiments.runtime.commit import commit_of_code
from experiments.training.sessions import keep_session, read_sessions
from experiments.training.task import task_of
from experiments.training.warm_start import warm_start
from tests.experiments.separate.test_separate import song
from tests.tiny_network import noise_batch
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run
from tests.tiny_training import last_state, run_training
from tests.tiny_training import tiny_config as training_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With data, a run in `run`, and its network in `network.safetensors`."""
    folder = tmp_path_factory.mktemp("export")
    prepare_data(folder / "data")
    write_run(folder / "run", tiny_config(folder / "data"))
    out = folder / "network.safetensors"
    command = [f"--workdir={folder / 'run'}", f"--out={out}", "--licence=CC0 sounds"]
    assert export.main(command) == 0
    return folder


def test_the_file_says_where_it_comes_from(folder):
    model, _, header = load_network(folder / "network.safetensors")
    assert model == Predictor.load(folder / "run").model.clone(heads=model.heads)
    about = header["about"]
    assert about["licence"] == "CC0 sounds" and about["step"] == 3
    assert about["config"]["model"]["hidden"] == 8 and "jax" in about["exported_by"]["versions"]
    assert about["tuned"] is False and about["sessions"] == about["soundfonts"] == []


def test_the_file_says_what_trained_it(folder, tmp_path, capsys):
    """The code of the sessions, not of the export; and what it lacks is said."""
    run_folder = write_run(tmp_path / "run", tiny_config(folder / "data"))
    (run_folder / DATA_FILE).write_text('{"fingerprints": {"a": "1"}, "soundfonts": ["a.sf2"]}')
    keep_session(run_folder, first_step=0)
    store_decoding(
        checkpoint.locate(run_folder, "best"), {name: {"threshold": 0.25} for name in INSTRUMENTS}
    )
    out = tmp_path / "network.safetensors"
    assert export.main([f"--workdir={run_folder}", f"--out={out}"]) == 0
    about = load_network(out)[2]["about"]
    assert about["tuned"] is True and about["soundfonts"] == ["a.sf2"]
    assert [own["commit"] for own in about["sessions"]] == [commit_of_code()]
    said = capsys.readouterr().out
    assert "It names no --licence" in said and "default ones" not in said


def test_songs_are_separated_by_the_file_as_by_the_run(folder, tmp_path):
    path = song(tmp_path / "a.wav", rate=16000)
    given = [f"--workdir={folder / 'run'}"], [f"--pretrained={folder / 'network.safetensors'}"]
    stems = []
    for number, arguments in enumerate(given):
        out = tmp_path / str(number)
        assert separate.main([*arguments, f"--out={out}", "--no-page", str(path)]) == 0
        stems.append(read_audio(out / "a" / "piano.wav")[0])
    np.testing.assert_allclose(*stems, atol=3e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out=x.safetensors"], "--workdir is missing"),
        (["--workdir=RUN"], "--out is missing"),
        (["--workdir=RUN", "--out=x.npz"], "ends in .safetensors expected"),
        (["--workdir=none", "--out=x.safetensors"], "none"),
        (["--workdir=RUN", "--out=x.safetensors", "--step=9"], "has no checkpoint '9'"),
    ],
)
def test_a_bad_request_is_one_line(folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert export.main([text.replace("RUN", str(folder / "run")) for text in arguments]) == 1
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_network_must_be_named_where_the_package_has_none(capsys, monkeypatch):
    monkeypatch.setattr("cerberus_jax.pretrained.names", lambda: ())
    assert separate.main(["song.wav"]) == 1
    error = capsys.readouterr().err
    assert "--workdir is missing" in error and "takes a file that ends in .safetensors" in error


def test_without_a_name_the_first_network_of_the_package_is_taken(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("cerberus_jax.pretrained.FOLDER", tmp_path)
    shutil.copy(folder / "network.safetensors", tmp_path / "small.safetensors")
    path = song(tmp_path / "a.wav", rate=16000)
    assert separate.main([f"--out={tmp_path / 'out'}", "--no-page", str(path)]) == 0
    assert "Network  small" in capsys.readouterr().out
    assert (tmp_path / "out" / "a" / "piano.wav").is_file()
    assert separate.main([f"--out={tmp_path / 'out'}", "--step=7", str(path)]) == 1
    assert "--step=7: needs --workdir" in capsys.readouterr().err


def test_one_network_at_a_time(capsys):
    arguments = ["--workdir=a", "--pretrained=b.safetensors", "--out=c", "song.wav"]
    assert separate.main(arguments) == 1
    assert "--workdir and --pretrained: one network expected" in capsys.readouterr().err


def test_training_begins_with_what_fits_and_names_the_rest(folder):
    source = str(folder / "network.safetensors")
    begin = warm_start(tiny_config(folder / "data", **{"train.init_from": source}))
    assert set(begin.new) == {"embedding_head/kernel", "embedding_head/bias"}
    assert f"parameters of {source}; new: embedding_head" in str(begin)
    stored = by_name(load_network(source)[1])
    assert begin.taken.keys() == stored.keys()
    for name, array in begin.taken.items():
        np.testing.assert_array_equal(array, stored[name])


def test_the_session_says_which_parameters_it_took_over(folder, tmp_path):
    """A name may stand for another network after an update of the package."""
    config = tiny_config(
        folder / "data", **{"train.init_from": str(folder / "network.safetensors")}
    )
    begin = warm_start(config)
    keep_session(tmp_path, first_step=0, begin=begin)
    keep_session(tmp_path, first_step=5)
    first, second = read_sessions(tmp_path)
    expected = {"source": begin.source, "fingerprint": begin.fingerprint}
    assert first["init_from"] == expected and "init_from" not in second
    name, array = next(iter(begin.taken.items()))
    other = dataclasses.replace(begin, taken={**begin.taken, name: array + np.float32(1e-3)})
    assert other.fingerprint != begin.fingerprint
    assert warm_start(config).fingerprint == begin.fingerprint


def test_heads_of_other_instruments_are_new(folder):
    fields = {"train.init_from": str(folder / "run"), "instruments": ("drums", "piano")}
    begin = warm_start(tiny_config(folder / "data", **fields))
    assert {name.partition("/")[0] for name in begin.taken} == {"trunk"}
    assert {"mask_head/kernel", "transcription_head/bias"} <= set(begin.new)


def test_parameters_of_another_shape_are_new(folder):
    fields = {"train.init_from": str(folder / "run"), "model.layers": 2}
    begin = warm_start(tiny_config(folder / "data", **fields))
    assert "trunk/layer_0/bias" in begin.taken
    assert set(begin.new) == {f"trunk/layer_1/{name}" for name in ("bias", *KERNELS)}


KERNELS = ("input_kernel", "recurrent_kernel")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"train.init_from": "nobody"}, ValueError, "train.init_from: the directory of a run, or"),
        ({"train.init_from": "no.safetensors"}, FileNotFoundError, "no.safetensors: no such file"),
        ({"audio.sample_rate_hz": 8000}, ValueError, "is of 16000 Hz, this one of 8000"),
        (
            {"model.hidden": 6, "audio.window": 1024, "instruments": ("piano", "bass")},
            ValueError,
            "none of its parameters fits this network, whose are ",
        ),
    ],
)
def test_a_source_that_cannot_be_is_refused(folder, fields, error, message):
    config = tiny_config(folder / "data", **({"train.init_from": str(folder / "run")} | fields))
    with pytest.raises(error, match=message):
        warm_start(config)


def test_without_a_source_nothing_is_taken(folder):
    assert warm_start(tiny_config(folder / "data")) is None


def test_a_run_goes_on_from_the_parameters_of_another(tmp_path):
    """The second run's state before its first step is the first run's network, fresh otherwise; a
    stopped one goes on from its own checkpoint."""
    run_training(tmp_path / "first", train__num_steps=3)
    options = {"train__init_from": str(tmp_path / "first"), "optimizer__average_decay": 0.9}
    options |= {"optimizer__learning_rate": 1e-12, "seed": 5}
    run_training(tmp_path / "second", train__num_steps=1, **options)
    begun = last_state(tmp_path / "second", **options)
    trained = last_state(tmp_path / "first")
    for tree in (begun.params, begun.average):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), tree, trained.params)
    key = jax.random.split(jax.random.key(5))[0]
    fresh = init_state(task_of(training_config(**options)), key, noise_batch(4)).params
    assert not np.allclose(fresh["mask_head"]["kernel"], begun.params["mask_head"]["kernel"])
    run_training(tmp_path / "second", train__num_steps=2, **options)
    assert int(last_state(tmp_path / "second", **options).step) == 2


def test_the_flag_is_the_field(folder, tmp_path, monkeypatch):
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train_run", lambda config, workdir: calls.append(config))
    monkeypatch.setattr(run, "keep_compiled", lambda: None)
    assert run.main(["--config=sets/set4.py", f"--init_from={folder / 'run'}"]) == 0
    assert calls[0].train.init_from == str(folder / "run")


def test_a_source_that_cannot_be_is_refused_before_data_are_looked_for(tmp_path, capsys):
    arguments = ["--config=sets/set1.py", f"--workdir={tmp_path / 'run'}", "--init_from=nobody"]
    assert run.main([*arguments, f"--config.data.root={tmp_path / 'no_data'}"]) == 1
    assert "train.init_from: the directory" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
