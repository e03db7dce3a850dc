"""Oracle masks and clusters that the reference puts in order."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from cerberus_jax.clustering import cluster_masks
from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.metrics import si_sdr
from cerberus_jax.notes import Notes
from cerberus_jax.stft import istft, stft
from data_pipeline.planning.batch import Excerpt
from experiments.evaluation import systems
from experiments.evaluation.systems import (
    assignment_of,
    excerpt_systems,
    oracle_sources,
    song_systems,
)
from tests.tiny_network import tiny_model


def test_oracle_masks_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((2, 3, 4000)).astype(np.float32)
    grid = FrameGrid(window=256, hop=64)
    estimates = np.asarray(oracle_sources(sources, grid))
    assert estimates.shape == sources.shape
    spectra, mixture = (
        np.asarray(stft(jnp.asarray(waveforms), grid)) for waveforms in (sources, sources.sum(1))
    )
    angle = np.angle(mixture)[:, None]
    projected = np.abs(spectra) * np.cos(np.angle(spectra) - angle)
    target = np.clip(projected, 0, np.abs(mixture)[:, None]) * np.exp(1j * angle)
    expected = istft(jnp.asarray(target, jnp.complex64), grid, 4000)
    np.testing.assert_allclose(estimates, expected, atol=1e-5)
    alone = sources * np.array([1, 0, 0], np.float32)[:, None]
    estimates = np.asarray(oracle_sources(alone, grid))
    np.testing.assert_allclose(estimates[:, 0], alone[:, 0], atol=1e-5)
    np.testing.assert_allclose(estimates[:, 1:], 0, atol=1e-5)


def test_no_program_is_compiled_for_the_length_of_a_song():
    """Only excerpts, which have one length, are worth one; the scores are the same."""
    rng = np.random.default_rng(0)
    predictor = Predictor.untrained(tiny_model())
    of_songs, of_excerpts = song_systems(predictor), excerpt_systems(predictor, seed=0)
    before = oracle_sources._cache_size()
    songs = [
        Excerpt("a", rng.standard_normal((2, n)).astype(np.float32), (Notes.empty(),) * 2)
        for n in (4001, 5003)
    ]
    estimates = [of_songs["oracle_mask"]([song])[0] for song in songs]
    assert oracle_sources._cache_size() == before
    for song, estimate in zip(songs, estimates, strict=True):
        expected = of_excerpts["oracle_mask"]([song])[0].sources
        np.testing.assert_allclose(estimate.sources, expected, atol=1e-5)


def test_who_assigns_the_instruments():
    assert assignment_of(("deep_clustering", "mask_inference")) == "network"
    assert assignment_of(("deep_clustering", "transcription")) == "oracle"
    assert assignment_of(("transcription",)) is None


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_clusters_go_to_the_sources_they_match(monkeypatch, order):
    """Two tones whose bins a perfect embedding tells apart: the order of the sources is found."""
    time = np.arange(6000) / 16000
    tones = np.stack([np.sin(2 * np.pi * hz * time) for hz in (500, 5000)]).astype(np.float32)
    model = tiny_model(heads=("deep_clustering",))
    predictor = Predictor.untrained(model)

    def by_frequency(embedding, magnitude, **options):
        points = jnp.zeros_like(embedding).at[:, :20, 0].set(1).at[:, 20:, 1].set(1)
        return cluster_masks(points, magnitude, **options)

    monkeypatch.setattr(systems, "cluster_masks", by_frequency)
    excerpt = Excerpt("a", tones[order], (Notes.empty(),) * 2)
    systems._clusters.clear_cache()
    estimate = excerpt_systems(predictor, seed=0)["network"]([excerpt])[0]
    systems._clusters.clear_cache()
    assert estimate.notes is None
    assert (np.asarray(si_sdr(estimate.sources, tones[order])) > 20).all()


@pytest.mark.parametrize("systems_of", [partial(excerpt_systems, seed=0), song_systems])
def test_only_what_is_transcribed_has_notes(systems_of):
    predictor = Predictor.untrained(
        tiny_model().clone(instruments=("piano", "vocals"), transcribed=("piano",))
    )
    sources = np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    excerpt = Excerpt("a", sources, (Notes.empty(),) * 2)
    for name, system in systems_of(predictor).items():
        (estimate,) = system([excerpt])
        assert estimate.sources.shape == sources.shape
        if name == "mixture":
            assert estimate.notes is None
        else:
            assert set(estimate.notes) == {"piano"}
