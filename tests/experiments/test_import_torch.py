"""Weights of PyTorch networks become runs that every command takes."""

import io
import json
import sys
import types

import jax
import numpy as np
import pytest

from cerberus_jax import torch_weights
from cerberus_jax.checkpoint import CheckpointWriter, restore_model, saved_steps
from experiments import evaluate, separate
from experiments.config.loading import load_run_config
from experiments.import_torch import LAYOUTS, main, read_state_dict
from experiments.train import train
from experiments.training import data
from tests.experiments.separate.test_separate import song
from tests.tiny_run import INSTRUMENTS, prepare_data
from tests.torch_state import random_state

WINDOW, LAYERS, HIDDEN, DIM = 512, 2, 5, 4


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return prepare_data(tmp_path_factory.mktemp("prepared"))


def state_of(layout):
    return random_state(
        layout,
        num_bins=WINDOW // 2 + 1,
        num_sources=len(INSTRUMENTS),
        layers=LAYERS,
        hidden=HIDDEN,
        embedding_dim=DIM,
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights by layout."""
    folder = tmp_path_factory.mktemp("weights")
    for layout in LAYOUTS:
        np.savez(folder / f"{layout}.npz", **state_of(layout))
    return {layout: folder / f"{layout}.npz" for layout in LAYOUTS}


def flags(file, workdir, layout, *, root="", **fields):
    values = {
        "instruments": ",".join(INSTRUMENTS),
        "audio.window": WINDOW,
        "model.layers": LAYERS,
        "model.hidden": HIDDEN,
        "model.embedding_dim": DIM,
        "batch_size": 2,
        "excerpt_seconds": 1.0,
        "data.root": root,
        "data.num_test_excerpts": 2,
        "data.num_validation_excerpts": 2,
        "evaluation.excerpt_seconds": 2.0,
        "optimizer.learning_rate": 1e-9,
        "train.num_steps": 1,
    }
    if layout == "nussl":
        values["loss.transcription"] = 0
    values |= fields
    return [
        f"--checkpoint={file}",
        f"--layout={layout}",
        "--config=sets/set1.py",
        f"--workdir={workdir}",
        *(f"--config.{field}={value}" for field, value in values.items()),
    ]


@pytest.fixture(scope="module", params=LAYOUTS)
def run(request, root, weights, tmp_path_factory):
    workdir = tmp_path_factory.mktemp(request.param) / "run"
    assert main(flags(weights[request.param], workdir, request.param, root=root)) == 0
    return workdir


def test_the_run_holds_the_network_of_the_weights(run):
    layout = run.parent.name.rstrip("0123456789")
    model, params, metadata = restore_model(run)
    expected = torch_weights.from_torch(state_of(layout), layout=layout)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(params), expected)
    assert model.input_scaling == LAYOUTS[layout]["model.input_scaling"]
    assert saved_steps(run) == {"last": 0, "best": 0}
    assert metadata["decoding"]["piano"]["threshold"] == 0.5


def test_it_is_evaluated_and_separates(run, tmp_path):
    assert evaluate.main([f"--workdir={run}"]) == 0
    results = json.loads((run / "results.json").read_text())
    assert results["step"] == 0 and results["num_items"] == 2
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    assert separate.main([f"--workdir={run}", f"--out={out}", str(path)]) == 0
    assert (out / "a" / "drums.wav").is_file()
    transcribes = "transcription" in restore_model(run)[0].heads
    assert (out / "a" / "transcription.mid").is_file() == transcribes


def test_training_goes_on_from_its_weights(run):
    config = load_run_config(run)
    _, before, _ = restore_model(run)
    train(config, data.batches(config, "train", num_steps=1), workdir=run, progress=False)
    assert saved_steps(run)["last"] == 1
    _, after, _ = restore_model(run, "last")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, before)


def error_of(capsys, arguments) -> str:
    assert main(arguments) == 1
    return capsys.readouterr().err


def test_a_config_of_another_network_is_refused_with_the_fields_to_set(weights, tmp_path, capsys):
    fields = {
        "audio.window": 1024,
        "model.layers": 4,
        "model.hidden": 300,
        "model.embedding_dim": 20,
        "model.input_scaling": "db_affine",
        "instruments": "piano,bass,drums",
        "loss.transcription": 0,
    }
    workdir = tmp_path / "run"
    text = error_of(
        capsys, flags(weights["cerberus_pytorch"], workdir, "cerberus_pytorch", **fields)
    )
    for remedy in (
        "--config.audio.window=512, not 1024",
        "--config.model.layers=2, not 4",
        "--config.model.hidden=5, not 300",
        "--config.model.embedding_dim=4, not 20",
        "--config.instruments with 2 names",
        "--config.loss.transcription=WEIGHT above 0, not 0.0",
        "--config.model.input_scaling for a network with no normalisation",
    ):
        assert remedy in text
    assert not workdir.exists()


def test_heads_that_the_weights_lack_are_named(weights, tmp_path, capsys):
    arguments = flags(weights["nussl"], tmp_path / "run", "nussl", **{"loss.transcription": 0.8})
    assert "--config.loss.transcription=0, not 0.8" in error_of(capsys, arguments)


def test_keys_of_another_layout_are_listed(weights, tmp_path, capsys):
    text = error_of(capsys, flags(weights["nussl"], tmp_path / "run", "cerberus_pytorch"))
    assert "not to be placed: layers.embedding.linear.bias" in text


def test_modules_with_other_names(root, tmp_path, capsys):
    state = {
        key.replace("recurrent_stack", "blstm"): array for key, array in state_of("nussl").items()
    }
    np.savez(tmp_path / "weights.npz", **state)
    arguments = flags(tmp_path / "weights.npz", tmp_path / "run", "nussl", root=root)
    assert main([*arguments, "--modules=trunk:layers.blstm.rnn"]) == 0
    assert "--modules: MODULE:NAME" in error_of(capsys, [*arguments, "--modules=trunk"])


def test_a_run_is_not_overwritten(run, weights, capsys):
    layout = run.parent.name.rstrip("0123456789")
    text = error_of(capsys, flags(weights[layout], run, layout))
    assert "holds a run already" in text


def test_a_stopped_import_leaves_no_run(weights, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    arguments = flags(weights["nussl"], tmp_path / "run", "nussl")
    with monkeypatch.context() as context:
        context.setattr(CheckpointWriter, "save", stop)
        assert main(arguments) == 130
    assert list((tmp_path / "run").iterdir()) == []
    assert main(arguments) == 0


@pytest.mark.parametrize("missing", ["checkpoint", "config", "workdir"])
def test_what_is_missing_is_named(weights, tmp_path, capsys, missing):
    arguments = flags(weights["nussl"], tmp_path / "run", "nussl")
    arguments = [text for text in arguments if not text.startswith(f"--{missing}=")]
    assert f"--{missing} is missing" in error_of(capsys, arguments)


def safetensors(arrays, dtype="F32") -> bytes:
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        first = len(body)
        body += array.astype("<f4").tobytes()
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [first, len(body)]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def with_header(header, *, num_bytes=8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(num_bytes)


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_arrays_that_share_their_bytes_are_refused(tmp_path):
    """Of many such a small file would become gigabytes."""
    header = {
        str(number): ENTRY | {"shape": [10_000], "data_offsets": [0, 40_000]} for number in range(9)
    }
    (tmp_path / "a.safetensors").write_bytes(with_header(header, num_bytes=40_000))
    with pytest.raises(ValueError, match="its arrays overlap"):
        read_state_dict(tmp_path / "a.safetensors")


def test_safetensors_are_read_without_their_package(tmp_path):
    state = state_of("cerberus_pytorch")
    (tmp_path / "weights.safetensors").write_bytes(safetensors(state))
    arrays = read_state_dict(tmp_path / "weights.safetensors")
    assert arrays.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.npz", b"nonsense", "not a state dict"),
        ("weights.npz", npz(a=np.array(["x"])), "'a': numbers expected, got <U1"),
        ("weights.safetensors", b"nonsense", "not a file of safetensors"),
        ("weights.safetensors", safetensors({"a": np.zeros(2)}, "BF16"), "a has the type 'BF16'"),
        ("weights.safetensors", with_header(b"[" * 100_000), "RecursionError"),
        ("weights.safetensors", with_header(b"[]"), "an object expected"),
        ("weights.safetensors", with_header({"a": 3}), "a: an object expected, got 3"),
        ("weights.safetensors", with_header({"a": ENTRY | {"data_offsets": [0, 99]}}), "outside"),
        ("weights.safetensors", with_header({"a": ENTRY | {"data_offsets": [8, 0]}}), "outside"),
        ("weights.safetensors", with_header({"a": ENTRY | {"shape": [3]}}), "cannot reshape"),
        ("weights.safetensors", with_header({"a": ENTRY | {"shape": [2**70]}}), "64 bits"),
        ("weights.onnx", b"", "ends in one of .npz, .safetensors, .pt"),
        ("absent.npz", None, "no such file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_state_dict(tmp_path / name)


def test_where_pytorch_is_missing_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "weights.pt").touch()
    with pytest.raises(ValueError, match=r"pip install torch, or save the state dict as .npz"):
        read_state_dict(tmp_path / "weights.pt")


def test_a_pickle_that_holds_more_than_tensors_is_refused(tmp_path, monkeypatch):
    """With a stand-in for PyTorch, so that this is tested where there is none."""

    def load(path, *, map_location, weights_only):
        assert weights_only
        raise RuntimeError("Weights only load failed. A long explanation")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load))
    (tmp_path / "weights.ckpt").touch()
    with pytest.raises(ValueError, match=r"load failed\). Save the state dict alone"):
        read_state_dict(tmp_path / "weights.ckpt")


@pytest.mark.parametrize("whole", [False, True])
def test_files_of_pytorch_itself(tmp_path, whole):
    torch = pytest.importorskip("torch", reason="PyTorch, optional, is not installed")
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2).bfloat16()}
    torch.save({"state_dict": state, "epoch": 3} if whole else state, tmp_path / "weights.pt")
    arrays = read_state_dict(tmp_path / "weights.pt")
    np.testing.assert_array_equal(arrays["a.weight"], np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(arrays["a.bias"], np.ones(2))


def test_the_layouts_are_those_of_the_library():
    assert set(LAYOUTS) == set(torch_weights._LAYOUTS)
