import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.model import Cerberus
from cerberus_jax.notes import NUM_PITCHES
from cerberus_jax.torch_weights import from_torch
from tests import torch_state

GRID = FrameGrid(window=32, hop=8)
INSTRUMENTS = ("piano", "guitar", "bass")
NUM_BINS, HIDDEN, LAYERS, DIM = GRID.num_bins, 5, 2, 4
NUM_SOURCES = len(INSTRUMENTS)


def random_state(layout):
    """A random state dict of a network of this file's size."""
    return torch_state.random_state(
        layout,
        num_bins=NUM_BINS,
        num_sources=NUM_SOURCES,
        layers=LAYERS,
        hidden=HIDDEN,
        embedding_dim=DIM,
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def reference_lstm(x, state, prefix):
    """PyTorch's equations for one clip [t f], a frame at a time, in float64."""
    for k in range(LAYERS):
        both = []
        for ending, order in ((f"l{k}", 1), (f"l{k}_reverse", -1)):
            w_ih, w_hh, b_ih, b_hh = (
                np.float64(state[f"{prefix}.{part}_{ending}"])
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            hidden, cell, outputs = np.zeros(HIDDEN), np.zeros(HIDDEN), []
            for frame in x[::order]:
                i, f, g, o = np.split(w_ih @ frame + b_ih + w_hh @ hidden + b_hh, 4)
                cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
                hidden = sigmoid(o) * np.tanh(cell)
                outputs.append(hidden)
            both.append(np.array(outputs)[::order])
        x = np.concatenate(both, 1)
    return x


def linear(features, state, name):
    return features @ np.float64(state[f"{name}.weight"]).T + state[f"{name}.bias"]


def reference_outputs(magnitude, state, layout):
    """Embedding [t f d], mask [s t f], roll logits [s t p] or None: the PyTorch code's reshapes."""
    num_frames = len(magnitude)
    if layout == "cerberus_pytorch":
        state = {key.removeprefix("cerberus."): value for key, value in state.items()}
        names = ("shared_body.lstm", "clustering_head.dense_embedding", "separation_head.dense")
        x = magnitude
    else:
        names = ("layers.recurrent_stack.rnn", "layers.embedding.linear", "layers.mask.linear")
        norm = "layers.normalization.batch_norm."
        amplitude = magnitude / np.hanning(GRID.window + 1).sum()  # as scipy.signal.stft scales
        decibels = 20 * np.log10(np.maximum(amplitude, 1e-4))
        x = (decibels - state[norm + "running_mean"]) / np.sqrt(state[norm + "running_var"] + 1e-5)
        x = x * state[norm + "weight"] + state[norm + "bias"]
    features = reference_lstm(x, state, names[0])
    embedding = np.tanh(linear(features, state, names[1])).reshape(num_frames, NUM_BINS, DIM)
    embedding = embedding / (np.linalg.norm(embedding, axis=-1, keepdims=True) + 1e-12)
    mask = linear(features, state, names[2])
    if layout == "nussl":
        mask = mask.reshape(num_frames, NUM_BINS, NUM_SOURCES).transpose(2, 0, 1)
        return embedding, softmax(mask, 0), None
    mask = mask.reshape(num_frames, NUM_SOURCES, NUM_BINS).transpose(1, 0, 2)
    rolls = linear(features, state, "transcription_head.dense")
    rolls = rolls.reshape(num_frames, NUM_SOURCES, NUM_PITCHES).transpose(1, 0, 2)
    return embedding, softmax(mask, 0), rolls


def our_outputs(magnitude, params, layout):
    with_rolls = layout == "cerberus_pytorch"
    heads = ("deep_clustering", "mask_inference", "transcription")[: 3 if with_rolls else 2]
    model = Cerberus(
        grid=GRID,
        instruments=INSTRUMENTS,
        layers=LAYERS,
        hidden=HIDDEN,
        embedding_dim=DIM,
        embedding_activation="tanh",
        heads=heads,
        input_scaling="linear" if with_rolls else "db_affine",
    )
    params = jax.tree.map(jnp.asarray, params)
    output = model.apply({"params": params}, jnp.asarray(magnitude)[None], train=False)
    return [
        None if array is None else np.asarray(array[0])
        for array in (output.embedding, output.mask, output.roll_logits)
    ]


def random_magnitude(num_frames=7):
    rng = np.random.default_rng(1)
    magnitude = np.abs(rng.standard_normal((num_frames, NUM_BINS))).astype(np.float32)
    magnitude[2, :5] = 0
    return magnitude


@pytest.mark.parametrize("layout", ["cerberus_pytorch", "nussl"])
def test_loaded_network_computes_what_the_equations_say(layout):
    state = random_state(layout)
    found = our_outputs(random_magnitude(), from_torch(state, layout=layout), layout)
    expected = reference_outputs(random_magnitude(), state, layout)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_against_pytorch_itself():
    reason = "PyTorch, optional, is not installed"
    torch = pytest.importorskip("torch", reason=reason)
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(NUM_BINS, HIDDEN, LAYERS, batch_first=True, bidirectional=True)
    heads = {
        "clustering_head.dense_embedding": torch.nn.Linear(2 * HIDDEN, NUM_BINS * DIM),
        "separation_head.dense": torch.nn.Linear(2 * HIDDEN, NUM_SOURCES * NUM_BINS),
        "transcription_head.dense": torch.nn.Linear(2 * HIDDEN, NUM_SOURCES * NUM_PITCHES),
    }
    state = {f"cerberus.shared_body.lstm.{k}": v for k, v in lstm.state_dict().items()}
    for name, head in heads.items():
        state |= {f"cerberus.{name}.{k}": v for k, v in head.state_dict().items()}
    magnitude = random_magnitude(40)
    with torch.no_grad():
        features = lstm(torch.from_numpy(magnitude)[None])[0][0]
        embedding, mask, rolls = (head(features) for head in heads.values())
        embedding = torch.tanh(embedding).reshape(-1, NUM_BINS, DIM)
        embedding = embedding / (embedding.norm(dim=-1, keepdim=True) + 1e-12)
        mask = torch.softmax(mask.reshape(-1, NUM_SOURCES, NUM_BINS), 1).transpose(0, 1)
        rolls = rolls.reshape(-1, NUM_SOURCES, NUM_PITCHES).transpose(0, 1)
    params = from_torch(state)
    found = our_outputs(magnitude, params, "cerberus_pytorch")
    for ours, theirs in zip(found, (embedding, mask, rolls), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_nussl_normalisation_and_db_scale_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch, optional, is not installed")
    norm = torch.nn.BatchNorm1d(1)
    norm.train()
    norm(40 * torch.randn(64, 1) - 30)
    norm.eval()
    state = random_state("nussl")
    prefix = "layers.normalization.batch_norm."
    state |= {prefix + key: value.numpy() for key, value in norm.state_dict().items()}
    affine = from_torch(state, layout="nussl")["input_affine"]
    decibels = torch.linspace(-80, 40, NUM_BINS)
    with torch.no_grad():
        expected = norm(decibels[:, None])[:, 0].numpy()
    np.testing.assert_allclose(
        decibels.numpy() * affine["scale"] + affine["shift"], expected, atol=1e-5
    )


def test_tree_is_that_of_the_contract():
    params = from_torch(random_state("cerberus_pytorch"))
    shapes = {
        f"{a}/{b}": value.shape
        for a, group in params.items()
        if a != "trunk"
        for b, value in group.items()
    }
    assert shapes == {
        "embedding_head/kernel": (2 * HIDDEN, DIM, NUM_BINS),
        "embedding_head/bias": (DIM, NUM_BINS),
        "mask_head/kernel": (2 * HIDDEN, NUM_SOURCES, NUM_BINS),
        "mask_head/bias": (NUM_SOURCES, NUM_BINS),
        "transcription_head/kernel": (2 * HIDDEN, NUM_SOURCES, NUM_PITCHES),
        "transcription_head/bias": (NUM_SOURCES, NUM_PITCHES),
    }
    assert params["trunk"]["layer_1"]["input_kernel"].shape == (2, 2 * HIDDEN, 4 * HIDDEN)
    assert params["trunk"]["layer_1"]["recurrent_kernel"].shape == (2, HIDDEN, 4 * HIDDEN)
    assert params["trunk"]["layer_0"]["bias"].dtype == np.float32


def test_heads_and_normalisation_may_be_absent():
    state = {k: v for k, v in random_state("nussl").items() if "mask" in k or "recurrent" in k}
    assert set(from_torch(state, layout="nussl")) == {"trunk", "mask_head"}


def test_other_module_names():
    state = {
        key.replace("layers.recurrent_stack.rnn", "layers.blstm.rnn"): value
        for key, value in random_state("nussl").items()
    }
    renamed = from_torch(state, layout="nussl", names={"trunk": "layers.blstm.rnn"})
    expected = from_torch(random_state("nussl"), layout="nussl")
    np.testing.assert_array_equal(
        renamed["trunk"]["layer_0"]["bias"], expected["trunk"]["layer_0"]["bias"]
    )
    with pytest.raises(ValueError, match=r"names must be among .* got \['body'\]"):
        from_torch(state, layout="nussl", names={"body": "x"})


def test_every_problem_is_listed():
    state = random_state("cerberus_pytorch")
    del state["cerberus.shared_body.lstm.bias_hh_l1_reverse"]
    del state["cerberus.separation_head.dense.bias"]
    state["cerberus.extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError) as error:
        from_torch(state)
    text = str(error.value)
    assert "missing: separation_head.dense.bias, shared_body.lstm.bias_hh_l1_reverse" in text
    assert "not to be placed: extra.weight" in text


def test_wrong_shapes_are_named():
    state = random_state("cerberus_pytorch")
    state["cerberus.shared_body.lstm.weight_ih_l1"] = np.zeros((4 * HIDDEN, 3), np.float32)
    with pytest.raises(
        ValueError, match=r"weight_ih_l1 has the shape \[20, 3\], expected \[20, 10"
    ):
        from_torch(state)
    state = random_state("cerberus_pytorch")
    name = "cerberus.separation_head.dense"
    state |= {f"{name}.weight": np.zeros((50, 2 * HIDDEN)), f"{name}.bias": np.zeros(50)}
    with pytest.raises(
        ValueError, match=r"separation_head.dense.weight has 50 rows, no multiple of 17"
    ):
        from_torch(state)
    state = random_state("nussl")
    state["layers.normalization.batch_norm.weight"] = np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"batch_norm.weight must have 1 or 17 features"):
        from_torch(state, layout="nussl")


def test_the_other_layout_and_whole_checkpoints_are_refused():
    with pytest.raises(ValueError, match=r"missing: .*layers.recurrent_stack.rnn.weight_hh_l0"):
        from_torch(random_state("cerberus_pytorch"), layout="nussl")
    with pytest.raises(ValueError, match="layout must be one of"):
        from_torch({}, layout="keras")
    with pytest.raises(ValueError, match=r"pass checkpoint\['state_dict'\]"):
        from_torch({"state_dict": {}})
