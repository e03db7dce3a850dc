"""The network as a whole: outputs, heads, input scaling, independence of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from cerberus_jax.heads import HEADS, PAPER_HEADS
from cerberus_jax.model import CerberusOutput, relative_db
from cerberus_jax.stft import stft
from tests.tiny_network import GRID, tiny_model

MAGNITUDE = jnp.asarray(np.random.default_rng(0).uniform(0, 3, (2, 9, GRID.num_bins)), jnp.float32)
LOSSES = PAPER_HEADS


def _init(model):
    return model.init(jax.random.key(0), MAGNITUDE, train=False)


def test_output_shapes_and_ranges():
    model = tiny_model()
    output = model.apply(_init(model), MAGNITUDE, train=False)
    assert output.embedding.shape == (2, 9, 65, 5)
    assert output.mask.shape == (2, 2, 9, 65)
    assert output.roll_logits.shape == (2, 2, 9, 88)
    np.testing.assert_allclose(jnp.linalg.norm(output.embedding, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(output.mask.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("heads", [(name,) for name in LOSSES] + [LOSSES[:2], LOSSES[1:]])
def test_an_absent_head_has_no_parameters_and_changes_no_other(heads):
    whole, part = _init(tiny_model())["params"], _init(tiny_model(heads=heads))["params"]
    assert set(part) == {"trunk", *(HEADS[name].submodule for name in heads)}
    for name in part:
        jax.tree.map(np.testing.assert_array_equal, part[name], whole[name])
    output = tiny_model(heads=heads).apply({"params": part}, MAGNITUDE, train=False)
    present = [output.embedding, output.mask, output.roll_logits]
    assert [value is not None for value in present] == [name in heads for name in LOSSES]


def test_only_the_heads_asked_for_are_computed():
    model = tiny_model()
    output = model.apply(_init(model), MAGNITUDE, train=False, heads=("transcription",))
    assert output.embedding is None and output.mask is None
    assert output.roll_logits is not None


def test_masks_do_not_depend_on_the_gain():
    model = tiny_model()
    params = _init(model)
    loud = model.apply(params, 100 * MAGNITUDE, train=False).mask
    np.testing.assert_allclose(loud, model.apply(params, MAGNITUDE, train=False).mask, atol=1e-4)


def test_permuting_the_instruments_permutes_the_outputs():
    model = tiny_model()
    params = _init(model)["params"]
    swapped = dict(params)
    for name in ("mask_head", "transcription_head"):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        swapped[name] = {"kernel": kernel[:, ::-1], "bias": bias[::-1]}
    straight = model.apply({"params": params}, MAGNITUDE, train=False)
    turned = model.apply({"params": swapped}, MAGNITUDE, train=False)
    np.testing.assert_allclose(turned.mask[:, ::-1], straight.mask, atol=1e-6)
    np.testing.assert_allclose(turned.roll_logits[:, ::-1], straight.roll_logits, atol=1e-5)


def test_relative_db_by_hand():
    magnitude = jnp.asarray([[[1.0, 0.1, 1e-4, 1e-9, 0.0]]])
    np.testing.assert_allclose(relative_db(magnitude)[0, 0], [1, 0.75, 0, 0, 0], atol=1e-6)
    louder = relative_db(magnitude, jnp.asarray([10.0]))
    np.testing.assert_allclose(louder[0, 0], [0.75, 0.5, 0, 0, 0], atol=1e-6)


def test_silence_is_finite_zero():
    assert not relative_db(jnp.zeros((1, 2, 3))).any()
    model = tiny_model()
    output = model.apply(_init(model), jnp.zeros_like(MAGNITUDE), train=False)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(output))


@pytest.mark.parametrize("scaling", ["linear", "db_affine", "excerpt_db_affine"])
def test_other_input_scalings(scaling):
    model = tiny_model(input_scaling=scaling)
    params = _init(model)
    assert ("input_affine" in params["params"]) == scaling.endswith("affine")
    assert np.isfinite(model.apply(params, MAGNITUDE, train=False).mask).all()


def test_absolute_decibels_are_those_of_scipy_which_nussl_reads():
    waveform = np.random.default_rng(0).standard_normal(40 * GRID.hop).astype(np.float32)
    model = tiny_model(input_scaling="db_affine")
    magnitude = jnp.abs(stft(jnp.asarray(waveform), GRID))[None]
    bound = model.bind(_init(model))
    ours = bound._scaled(magnitude, None)[0]
    _, _, spectrum = scipy.signal.stft(
        waveform, nperseg=GRID.window, noverlap=GRID.window - GRID.hop, padded=False
    )
    theirs = 20 * np.log10(np.maximum(np.abs(spectrum.T), 1e-4))
    inside = slice(2, -2)  # the edges are padded in another way
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=2e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("embedding_activation", "relu"),
        ("mask_activation", "tanh"),
        ("input_scaling", "log"),
        ("precision", "float16"),
        ("heads", ()),
        ("heads", ("vocals",)),
    ],
)
def test_unknown_settings_are_refused(field, value):
    with pytest.raises(ValueError, match=f"^{field}: "):
        _init(tiny_model(**{field: value}))


def test_a_head_that_does_not_exist_cannot_be_asked_for():
    model = tiny_model(heads=("transcription",))
    with pytest.raises(ValueError, match="mask_inference"):
        model.apply(_init(model), MAGNITUDE, train=False, heads=("mask_inference",))


def test_a_head_that_reads_what_the_trunk_does_not_give_is_refused():
    model = tiny_model(options={"mask_inference": {"pitch_channels": 2}})
    with pytest.raises(ValueError, match="mask_inference reads pitches, and the trunk blstm gives"):
        _init(model)
    _init(model.clone(trunk_name="harmonic"))


def test_an_output_that_no_head_has_is_no_attribute():
    output = CerberusOutput({})
    assert output.mask is None
    with pytest.raises(AttributeError, match="CerberusOutput has no output 'maks'"):
        _ = output.maks
