"""The trunk of bands: where the bands lie, its answer computed a second way, dropout."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax.frames import FrameGrid
from cerberus_jax.trunks.band_split import EVEN_BANDS, PITCH_BANDS, BandSplit, band_edges
from cerberus_jax.trunks.base import FEATURES, PITCHES

GRID = FrameGrid(16000, 512, 128)
HIDDEN, SIZE = 6, 4


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([8000, 16000, 44100]), st.integers(5, 12))
def test_bands_cover_every_bin_once(rate, power):
    grid = FrameGrid(rate, 2**power, 2**power // 4)
    edges = band_edges(grid)
    assert edges[0] == 0 and edges[-1] == grid.num_bins
    assert min(np.diff(edges)) >= 1


def test_bands_are_even_below_and_grow_above():
    widths = np.diff(band_edges(FrameGrid(16000, 2048, 512)))
    assert set(widths[:EVEN_BANDS]) == {16}  # 125 Hz
    ratios = widths[EVEN_BANDS + 1 :] / widths[EVEN_BANDS:-1]
    np.testing.assert_allclose(ratios, (8000 / 750) ** 0.1, rtol=0.05)


@pytest.fixture(scope="module")
def trunk():
    return BandSplit(grid=GRID, layers=2, hidden=HIDDEN, size=SIZE, channels=3, blocks=1)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(1)
    return {
        name: jnp.asarray(rng.uniform(0, 1, (2, 5, GRID.num_bins)), jnp.float32)
        for name in ("scaled", "relative_magnitude")
    }


@pytest.fixture(scope="module")
def params(trunk, inputs):
    return trunk.init(jax.random.key(0), inputs, train=False)["params"]


def _norm(x, params):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * params["scale"] + params["bias"]


def _dense(x, params):
    return x @ params["kernel"] + params["bias"]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _blstm(x, params):
    """Of one sequence [t d], step by step."""
    found = []
    for way in (0, 1):
        hidden, cell, steps = np.zeros(SIZE), np.zeros(SIZE), []
        for row in x[:: 1 - 2 * way]:
            gates = row @ params["input_kernel"][way] + hidden @ params["recurrent_kernel"][way]
            i, f, g, o = np.split(gates + params["bias"][way], 4)
            cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
            hidden = _sigmoid(o) * np.tanh(cell)
            steps.append(hidden)
        found.append(np.stack(steps[:: 1 - 2 * way]))
    return np.concatenate(found, -1)


def test_the_features_are_those_of_loops_over_excerpts_bands_and_frames(trunk, inputs, params):
    features = trunk.apply({"params": params}, inputs, train=False)
    assert features[PITCHES].shape == (2, 5, 88, 3)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    spectrum = np.asarray(inputs["scaled"], np.float64)
    pitches = np.asarray(features[PITCHES], np.float64)
    edges = band_edges(GRID)
    for k in range(2):
        rows = [
            _dense(_norm(spectrum[k][:, a:z], p[f"band_norm_{i}"]), p[f"band_{i}"])
            for i, (a, z) in enumerate(itertools.pairwise(edges))
        ]
        rows += [
            _norm(_dense(part.reshape(5, -1), p[f"range_{i}"]), p[f"range_norm_{i}"])
            for i, part in enumerate(np.split(pitches[k], PITCH_BANDS, axis=1))
        ]
        x = np.stack(rows)  # bands, frames, features
        for layer in range(2):
            for name in (f"time_{layer}", f"bands_{layer}"):
                along = x if name.startswith("time") else x.swapaxes(0, 1)
                moved = np.stack(
                    [
                        _dense(_blstm(_norm(s, p[f"{name}_norm"]), p[name]), p[f"{name}_out"])
                        for s in along
                    ]
                )
                x = x + (moved if name.startswith("time") else moved.swapaxes(0, 1))
        flat = _norm(x, p["out_norm"]).swapaxes(0, 1).reshape(5, -1)
        expected = np.tanh(_dense(flat, p["out"]))
        np.testing.assert_allclose(features[FEATURES][k], expected, atol=2e-5)
        assert np.abs(expected).max() > 0.05


@pytest.mark.parametrize("size", [SIZE, SIZE + 1])
def test_dropout_is_between_the_layers_in_training_alone(inputs, size):
    def found(layers, train, key):
        trunk = BandSplit(
            grid=GRID, layers=layers, hidden=HIDDEN, size=size, channels=3, blocks=1, dropout=0.5
        )
        variables = trunk.init(jax.random.key(0), inputs, train=False)
        rngs = {"dropout": jax.random.key(key)}
        return np.asarray(trunk.apply(variables, inputs, train=train, rngs=rngs)[FEATURES])

    assert np.abs(found(2, True, 1) - found(2, True, 2)).max() > 1e-4
    np.testing.assert_array_equal(found(2, False, 1), found(2, False, 2))
    np.testing.assert_array_equal(found(1, True, 1), found(1, True, 2))
