"""Another shape, type or rank than a public function takes is refused by the argument's name."""

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from cerberus_jax.decoding import decode
from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.joint_loss import DEFAULT_HEADS, head_losses
from cerberus_jax.losses import deep_clustering_loss, mask_inference_loss, transcription_loss
from cerberus_jax.metrics import si_bss_eval, si_sdr
from cerberus_jax.shapes import whole_rate
from cerberus_jax.stft import istft, stft
from cerberus_jax.targets import make_targets
from tests.tiny_network import GRID, tiny_model


@pytest.fixture(autouse=True)
def _as_users_call_it(monkeypatch):
    """Without the shape checks of the tests, which would be first to notice."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def _targets(sources=None, notes=None, **kwargs):
    sources = zeros(2, 3, 500) if sources is None else sources
    notes = np.zeros((2, 3, 4, 3), np.int16) if notes is None else notes
    return make_targets(sources, notes, grid=GRID, heads=DEFAULT_HEADS.values(), **kwargs)


def _head_losses(features=None, roll_of=2, weights=("transcription",), microbatch_size=1):
    params = {"transcription_head": {"kernel": zeros(4, 2, 88), "bias": zeros(2, 88)}}
    features = zeros(2, 5, 4) if features is None else features
    weights = {name: jnp.float32(1) for name in weights}
    targets = {"roll": zeros(roll_of, 2, 5, 88)}
    return head_losses(features, params, targets, weights, microbatch_size=microbatch_size)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stft([0.0, 1.0], GRID), r"stft: waveform: .*\[\.\.\., n\] expected, got list"),
        (lambda: stft(np.float32(1), GRID), r"stft: waveform: .*got the shape \[\]"),
        (lambda: istft(zeros(65), GRID, 64), r"istft: spectrum: .*\[\.\.\., t, f\].*\[65\]"),
        (lambda: si_sdr([1.0], zeros(1)), "si_sdr: estimate: .*got list"),
        (lambda: si_sdr(zeros(1), None), "si_sdr: reference: .*got NoneType"),
        (lambda: si_bss_eval(zeros(9), zeros(9)), r"estimates: .*\[sources, samples\].*\[9\]"),
        (lambda: decode(zeros(88), GRID), r"decode: roll: .*\[frames, 88\].*\[88\]"),
        (
            lambda: deep_clustering_loss(zeros(1, 2, 3), zeros(1, 2, 3, 2), zeros(1, 2, 3)),
            r"embedding: .*\[b, t, f, d\].*\[1, 2, 3\]",
        ),
        (
            lambda: deep_clustering_loss(zeros(1, 2, 3, 4), zeros(1, 2, 5, 2), zeros(1, 2, 3)),
            r"assignment: the shape \[1, 2, 3, 2\] expected, got \[1, 2, 5, 2\]",
        ),
        (
            lambda: mask_inference_loss(zeros(1, 2, 3, 4), zeros(1, 2, 3, 4), zeros(1, 2, 3, 4)),
            r"mixture_magnitude: the shape \[1, 3, 4\] expected, got \[1, 2, 3, 4\]",
        ),
        (
            lambda: transcription_loss(zeros(1, 2, 3, 88), zeros(1, 2, 4, 88)),
            r"roll: the shape \[1, 2, 3, 88\] expected, got \[1, 2, 4, 88\]",
        ),
        (
            lambda: transcription_loss(*[zeros(1, 2, 3, 88)] * 2, labelled=zeros(2) > 0),
            r"labelled: the shape \[1, 2\] expected, got \[2\]",
        ),
        (lambda: _targets(sources=zeros(3, 500)), r"sources: .*\[b, s, n\].*\[3, 500\]"),
        (lambda: _targets(notes=zeros(2, 2, 4, 3)), r"notes: the shape \[2, 3, 4, 3\] expected"),
        (lambda: _targets(labelled=zeros(2) > 0), r"labelled: the shape \[2, 3\] expected"),
        (lambda: _targets(equalisers=zeros(2, 3)), r"equalisers: the shape \[2, 3, 9\] expected"),
        (lambda: _head_losses(zeros(5, 4)), r"head_losses: features: .*\[b, t, h\].*\[5, 4\]"),
        (lambda: _head_losses(roll_of=3), r"targets\['roll'\] of 2 examples expected"),
        (lambda: _head_losses(weights=()), "none for transcription, got those of nothing"),
        (lambda: _head_losses(microbatch_size=0), "microbatch_size: at least 1"),
        (lambda: whole_rate("44100"), "sample_rate_hz: .*got '44100'"),
        (lambda: whole_rate(44100.5), r"sample_rate_hz: .*got 44100\.5"),
        (lambda: whole_rate(float("nan")), "sample_rate_hz: .*got nan"),
        (lambda: whole_rate(float("inf")), "sample_rate_hz: .*got inf"),
        (lambda: whole_rate(True), "sample_rate_hz: .*got True"),
        (lambda: GRID.num_frames(10.5), r"num_samples must be a whole number, got 10\.5"),
        (lambda: GRID.frame_times(-1), "num_frames must not be negative, got -1"),
    ],
)
def test_the_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture(scope="module")
def predictor():
    return Predictor.untrained(tiny_model())


@pytest.mark.parametrize("shape", [(22050, 2), (65, 8), (9000, 1)])
def test_samples_first_are_refused_and_told_the_way(predictor, shape):
    with pytest.raises(ValueError, match=r"waveform: channels first.*waveform\.T"):
        predictor.predict(zeros(*shape), 16000)


def test_many_channels_are_channels(predictor):
    assert predictor.predict(zeros(65, 9), 16000).sources.shape == (2, 65, 9)


def test_a_rate_may_be_an_integral_float(predictor):
    song = (0.1 * np.random.default_rng(0).standard_normal((1, 4410))).astype(np.float32)
    sources = predictor.predict(song, 44100).sources
    for rate in (44100.0, np.float64(44100), np.int32(44100)):
        np.testing.assert_array_equal(predictor.predict(song, rate).sources, sources)
    assert FrameGrid(16000.0, 1024, 256) == FrameGrid()


def test_a_batch_of_waveforms_has_two_axes(predictor):
    with pytest.raises(ValueError, match=r"predict_batch: waveforms: .*\[b, n\].*\[500\]"):
        predictor.predict_batch(zeros(500))
