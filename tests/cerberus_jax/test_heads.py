"""The heads against plain numpy."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.frames import FrameGrid
from cerberus_jax.heads.base import Context, Linear, linear
from cerberus_jax.heads.deep_clustering import DeepClustering
from cerberus_jax.heads.mask_inference import MaskInference
from cerberus_jax.heads.onsets import Onsets
from cerberus_jax.heads.pitchwise import PitchwiseMasks, bin_interpolation
from cerberus_jax.heads.rolls import RollHead
from cerberus_jax.heads.transcription import Transcription
from cerberus_jax.masks import MASK_KINDS
from cerberus_jax.masks.kind import MaskKind
from cerberus_jax.targets import Mixture
from cerberus_jax.trunks.base import Trunk
from cerberus_jax.trunks.blstm import BLSTM

RNG = np.random.default_rng(0)
GRID = FrameGrid(16000, 256, 128)
FEATURES = RNG.standard_normal((2, 5, 6)).astype(np.float32)
PARAMS = {
    "kernel": jnp.asarray(RNG.standard_normal((6, 3, 4)), jnp.float32),
    "bias": jnp.asarray(RNG.standard_normal((3, 4)), jnp.float32),
}
LINEAR = np.einsum("bth,hkm->btkm", FEATURES, PARAMS["kernel"]) + np.asarray(PARAMS["bias"])


def test_linear():
    np.testing.assert_allclose(linear(PARAMS, jnp.asarray(FEATURES)), LINEAR, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "function"), [("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("tanh", np.tanh)]
)
def test_embeddings_have_unit_norm(activation, function):
    head = DeepClustering(embedding_activation=activation)
    values = head.activate(linear(PARAMS, jnp.asarray(FEATURES)))
    expected = function(LINEAR) / np.linalg.norm(function(LINEAR), axis=2, keepdims=True)
    np.testing.assert_allclose(values, expected.swapaxes(2, 3), atol=1e-5)


def test_softmax_masks_sum_to_one():
    values = MASK_KINDS["softmax"].activation(linear(PARAMS, jnp.asarray(FEATURES)))
    np.testing.assert_allclose(values.sum(2), 1, atol=1e-6)
    exps = np.exp(LINEAR)
    np.testing.assert_allclose(values, exps / exps.sum(2, keepdims=True), atol=1e-5)


def test_sigmoid_masks():
    values = MASK_KINDS["sigmoid"].activation(linear(PARAMS, jnp.asarray(FEATURES)))
    np.testing.assert_allclose(values, 1 / (1 + np.exp(-LINEAR)), atol=1e-5)


def test_zero_features_give_a_finite_embedding_and_gradient():
    params = jax.tree.map(jnp.zeros_like, PARAMS)
    head = DeepClustering(embedding_activation="tanh")
    total = lambda f: head.activate(linear(params, f)).sum()  # noqa: E731
    value, grad = jax.value_and_grad(total)(jnp.zeros((1, 2, 6)))
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_head_gives_its_parameters():
    params = Linear((3, 4)).init(jax.random.key(0), 6)["params"]
    assert params["kernel"].shape == (6, 3, 4) and not params["bias"].any()
    # Glorot: the variance is 2 / (fan in + fan out).
    wide = Linear((20, 30)).init(jax.random.key(0), 400)["params"]["kernel"]
    assert abs(float(wide.std()) / (2 / 1000) ** 0.5 - 1) < 0.02


def _mixture(labelled=None):
    spectra = RNG.standard_normal((2, 3, 5, 7)) + 1j * RNG.standard_normal((2, 3, 5, 7))
    spectra = jnp.asarray(spectra.astype(np.complex64))
    notes = np.zeros((2, 3, 2, 3), np.int16)
    notes[:, :, 0] = (1, 3, 60)
    return Mixture(spectra.sum(1), spectra, jnp.asarray(notes), labelled)


def test_masks_have_targets_of_their_kind():
    assert set(MaskInference().targets(_mixture())) == {"mask_target"}
    with pytest.raises(ValueError, match="'softmax' masks are trained towards one of phase_sens"):
        MaskInference(target="spectrum").targets(_mixture())


def test_the_loss_of_complex_masks(monkeypatch):
    """Against numpy: mean |M X - S| over the mean of |X|."""
    kind = MaskKind(lambda raw: raw[..., :3, :] + 1j * raw[..., 3:, :], ("spectrum",), 2)
    monkeypatch.setitem(MASK_KINDS, "plain_complex", kind)
    head = MaskInference(mask_activation="plain_complex", target="spectrum")
    mixture = _mixture()
    raw = RNG.standard_normal((2, 5, 6, 7)).astype(np.float32)
    masks = (raw[:, :, :3] + 1j * raw[:, :, 3:]).swapaxes(1, 2)
    spectrum = np.asarray(mixture.spectrum)
    distance = np.abs(masks * spectrum[:, None] - np.asarray(mixture.source_spectra))
    expected = distance.mean((1, 2, 3)) / np.abs(spectrum).mean((1, 2))
    values = head.loss(jnp.asarray(raw), head.targets(mixture), 0)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def _targets(head, mixture):
    """With the mixture's magnitude, as `make_targets` gives them."""
    return head.targets(mixture) | {"mixture_magnitude": jnp.abs(mixture.spectrum)}


def _snr_in_bels(masks, mixture):
    """By the definition, with complex spectra."""
    spectrum, sources = np.asarray(mixture.spectrum), np.asarray(mixture.source_spectra)
    error = (np.abs(masks * spectrum[:, None] - sources) ** 2).sum((2, 3))
    source = (np.abs(sources) ** 2).sum((2, 3))
    total = (np.abs(spectrum) ** 2).sum((1, 2))[:, None]
    return np.log10((error + 1e-3 * source + 1e-5 * total) / (source + 1e-5 * total)).mean(1)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "real", "complex"])
def test_the_snr_loss_of_every_kind_of_mask(kind):
    head, mixture = MaskInference(mask_activation=kind, kind="snr"), _mixture()
    outputs = 3 * MASK_KINDS[kind].outputs_per_mask
    raw = jnp.asarray(RNG.standard_normal((2, 5, outputs, 7)), jnp.float32)
    expected = _snr_in_bels(np.asarray(head.activate(raw)), mixture)
    targets = _targets(head, mixture)
    np.testing.assert_allclose(head.loss(raw, targets, 0), expected, rtol=2e-5)
    strided = replace(head, stride=2).loss(raw[:, [1, 3]], targets, 1)
    picked = Mixture(mixture.spectrum[:, [1, 3]], mixture.source_spectra[:, :, [1, 3]], None)
    expected = _snr_in_bels(np.asarray(head.activate(raw[:, [1, 3]])), picked)
    np.testing.assert_allclose(strided, expected, rtol=2e-5)


def test_the_snr_of_silence_is_defined():
    """A perfect mask reaches the ceiling, a silent source costs what it is given, and a silent
    mixture nothing, with finite gradients."""
    sources = np.zeros((3, 2, 5, 7), np.complex64)
    sources[0] = RNG.standard_normal((2, 5, 7))
    sources[1, 0] = 1 + 1j
    sources = jnp.asarray(sources)
    mixture = Mixture(sources.sum(1), sources, None)
    head = MaskInference(mask_activation="real", kind="snr")
    targets = _targets(head, mixture)
    raw = (sources / jnp.where(mixture.spectrum == 0, 1, mixture.spectrum)[:, None]).real
    raw = raw.swapaxes(1, 2)
    grad = jax.grad(lambda x: head.loss(x, targets, 0).sum())(raw)
    assert np.isfinite(grad).all() and not np.asarray(grad)[2].any()
    losses = head.loss(raw, targets, 0)
    np.testing.assert_allclose(losses[0], -3, atol=0.03)
    np.testing.assert_allclose(losses[1], (np.log10(1e-3) + 0) / 2, atol=0.01)
    np.testing.assert_allclose(losses[2], 0, atol=1e-6)
    wrong = jnp.stack([jnp.zeros((3, 5, 7)), jnp.ones((3, 5, 7))], 2)
    for decibels in (20.0, 50.0):
        loss = replace(head, silence_db=decibels).loss(wrong, targets, 0)[1]
        np.testing.assert_allclose(loss, (0 + decibels / 10) / 2, atol=0.01)


@pytest.mark.parametrize("normaliser", ["cells", "active"])
@pytest.mark.parametrize("kind", ["mse", "bce"])
def test_a_source_without_labels_is_left_out_of_transcription(kind, normaliser):
    """As if the network had no roll for it; none labelled: no loss and no gradient."""
    head = Transcription(kind=kind, normaliser=normaliser)
    raw = jnp.asarray(RNG.standard_normal((2, 5, 3, 88)), jnp.float32)
    labelled = jnp.asarray([[True, False, True], [False, False, False]])
    targets = head.targets(_mixture(labelled))
    values, grad = jax.value_and_grad(lambda x: head.loss(x, targets, 0).sum())(raw)
    known = np.array([0, 2])
    fewer = {"roll": targets["roll"][:1, known]}
    np.testing.assert_allclose(values, head.loss(raw[:1, :, known], fewer, 0)[0], rtol=1e-5)
    assert np.isfinite(grad).all() and not grad[1].any() and not grad[0, :, 1].any()
    all_known = head.targets(_mixture(jnp.ones((2, 3), bool)))
    without = {"roll": all_known["roll"]}
    np.testing.assert_array_equal(head.loss(raw, all_known, 0), head.loss(raw, without, 0))


@pytest.mark.parametrize("width", [1, 2])
def test_a_source_without_labels_is_left_out_of_onsets(width):
    head = Onsets(width=width, stride=2)
    raw = jnp.asarray(RNG.standard_normal((2, 2, 3, 88)), jnp.float32)
    labelled = jnp.asarray([[True, False, True], [False, False, False]])
    targets = head.targets(_mixture(labelled))
    values, grad = jax.value_and_grad(lambda x: head.loss(x, targets, 1).sum())(raw)
    known = np.array([0, 2])
    fewer = {"onset_roll": targets["onset_roll"][:1, known]}
    np.testing.assert_allclose(values, head.loss(raw[:1, :, known], fewer, 1)[0], rtol=1e-5)
    assert np.isfinite(grad).all() and not grad[1].any() and not grad[0, :, 1].any()


def test_onsets_learn_the_frame_of_the_onset():
    """A loss of zero at the target, of the only note in frame 1 of 5; a wide one spreads."""
    targets = Onsets().targets(_mixture())
    logits = np.full((2, 5, 3, 88), -40.0, np.float32)
    logits[:, 1, :, 60 - 21] = 40
    np.testing.assert_allclose(Onsets().loss(jnp.asarray(logits), targets, 0), 0, atol=1e-9)
    wide = Onsets(width=2).loss(jnp.asarray(logits), targets, 0)
    np.testing.assert_allclose(wide, 2 * 0.5**2, rtol=1e-5)  # two neighbours of each onset


def test_fields_of_heads_and_trunks_go_where_they_belong():
    assert Transcription.loss_options() == {"stride": 1, "kind": "mse", "normaliser": "cells"}
    assert DeepClustering.loss_options() == {"stride": 1, "target": "phase_sensitive"}
    assert not DeepClustering.options() and not Transcription.options()
    assert MaskInference.choices()["mask_activation"] == tuple(MASK_KINDS)
    assert not BLSTM.options()
    assert issubclass(BLSTM, Trunk)


CONTEXT = Context(
    num_sources=3,
    num_transcribed=2,
    num_bins=GRID.num_bins,
    grid=GRID,
    features=("features", "pitches"),
)
BY_PITCH = {
    "features": jnp.asarray(RNG.standard_normal((2, 4, 6)), jnp.float32),
    "pitches": jnp.asarray(RNG.standard_normal((2, 4, 88, 5)), jnp.float32),
}


def _random_params(module, features):
    params = module.init(jax.random.key(0), features)["params"]
    return jax.tree.map(lambda p: jnp.asarray(RNG.standard_normal(p.shape), p.dtype), params)


def _by_pitch(params):
    frames, pitches = (np.asarray(BY_PITCH[name], np.float64) for name in ("features", "pitches"))
    frame, gate = (
        np.einsum("bth,hkm->btkm", frames, np.asarray(params[name]["kernel"], np.float64))
        + np.asarray(params[name]["bias"])
        for name in ("frame", "gates")
    )
    return frame + (gate[:, :, :, None] * pitches[:, :, None]).sum(-1)


@pytest.mark.parametrize("head", [Transcription, Onsets])
def test_rolls_by_pitch(head):
    head = head(context=CONTEXT)
    assert isinstance(head, RollHead)
    assert head.reads == ("features", "pitches") and not head.is_linear
    params = _random_params(head.module(), BY_PITCH)
    np.testing.assert_allclose(head.raw(params, BY_PITCH), _by_pitch(params), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", [("features",), ("features", "pitches")])
@pytest.mark.parametrize("head", [Transcription, Onsets])
def test_rolls_begin_nearly_empty(head, features):
    """At one cell in fifty, where the squared error still has a slope."""
    head = head(context=replace(CONTEXT, features=features))
    module_input = BY_PITCH["features"].shape[-1] if head.is_linear else BY_PITCH
    params = head.module().init(jax.random.key(0), module_input)["params"]
    silence = jax.tree.map(jnp.zeros_like, BY_PITCH)
    probabilities = head.predict(head.activate(head.raw(params, silence)))
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(4)), rtol=1e-5)


HARMONIC_SEMITONES = (0, 12, 19, 24, 28, 31)


def _semitones_played(params):
    """By loops over harmonics."""
    played = np.maximum(_by_pitch(params["played"]), 0).reshape(2, 4, 3, 2, 88)
    semitones = np.zeros((2, 4, 3, 88 + 31))
    for k, shift in enumerate(HARMONIC_SEMITONES):
        weights = np.asarray(params["timbre"], np.float64)[:, k]
        semitones[..., shift : shift + 88] += np.einsum("btscp,sc->btsp", played, weights)
    return semitones


def _semitones_shared(params):
    """By a loop over semitones, the layers by numpy."""
    frames, pitches = (np.asarray(BY_PITCH[name], np.float64) for name in ("features", "pitches"))
    gates = np.einsum("bth,hkm->btkm", frames, params["gates"]["kernel"]) + params["gates"]["bias"]
    semitones = np.zeros((2, 4, 3, 88 + 31))
    for n in range(88 + 31):
        below = [n - shift for shift in HARMONIC_SEMITONES]
        seen = [pitches[:, :, p] if 0 <= p < 88 else np.zeros((2, 4, 5)) for p in below]
        dense = np.concatenate(seen, -1) @ params["shared"]["kernel"] + params["shared"]["bias"]
        centred = dense - dense.mean(-1, keepdims=True)
        normed = centred / np.sqrt(dense.var(-1, keepdims=True) + 1e-6)
        normed = normed * params["shared_norm"]["scale"] + params["shared_norm"]["bias"]
        semitones[..., n] = np.einsum("btkc,btc->btk", gates, np.maximum(normed, 0))
    return semitones


def test_masks_by_pitch():
    """Both ways to semitones by loops, and interpolation by numpy in log frequency."""
    head = MaskInference(context=CONTEXT, pitch_channels=4)
    assert isinstance(head.module(), PitchwiseMasks)
    assert head.reads == ("features", "pitches") and not head.is_linear
    params = _random_params(head.module(), BY_PITCH)
    semitones = _semitones_played(params) + _semitones_shared(params)
    frames = np.asarray(BY_PITCH["features"], np.float64)
    expected = np.einsum("bth,hkm->btkm", frames, params["frame"]["kernel"])
    expected = expected + np.asarray(params["frame"]["bias"])
    hz = np.arange(GRID.num_bins) * GRID.sample_rate_hz / GRID.window
    with np.errstate(divide="ignore"):
        pitches = 69 + 12 * np.log2(hz / 440)
    points = np.arange(20, 21 + 88 + 31 + 1)
    values = np.pad(semitones, [(0, 0)] * 3 + [(1, 1)])
    for index in np.ndindex(2, 4, 3):
        expected[index] += np.interp(pitches, points, values[index], left=0, right=0)
    np.testing.assert_allclose(head.raw(params, BY_PITCH), expected, rtol=1e-3, atol=2e-3)


def test_without_channels_masks_are_linear_in_the_features_of_the_frame():
    head = MaskInference(context=CONTEXT)
    assert head.is_linear and head.reads == ("features",)


def test_interpolation_to_bins_gives_every_bin_between_the_ends_a_weight_of_one():
    weights = bin_interpolation(GRID)
    hz = np.arange(GRID.num_bins) * GRID.sample_rate_hz / GRID.window
    inside = (hz >= 27.5) & (hz <= 27.5 * 2 ** ((88 + 31 - 1) / 12))
    np.testing.assert_allclose(weights.sum(0)[inside], 1, atol=1e-9)
    assert inside.sum() > 100 and not weights[:, 0].any()
