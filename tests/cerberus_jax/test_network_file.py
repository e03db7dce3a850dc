"""A network in one file: the round trip, what is left out, and damaged files."""

import json
import struct
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_jax import pretrained
from cerberus_jax.architecture import METADATA_VERSION
from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.inference import Predictor
from cerberus_jax.network_file import load_network, network_bytes
from cerberus_jax.parameter_shapes import by_name
from tests.tiny_network import GRID, tiny_model

DECODING = {name: {"threshold": 0.25, "min_frames": 3} for name in ("piano", "bass")}


@pytest.fixture(scope="module")
def network():
    model = tiny_model()
    return model, model.init(jax.random.key(1), jnp.ones((1, 2, 65)), train=False)["params"]


@pytest.fixture(scope="module")
def content(network):
    return network_bytes(*network, DECODING, about={"licence": "CC0", "seed": 7})


@pytest.fixture
def path(content, tmp_path):
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(content)
    return path


def test_what_is_written_comes_back_in_half_precision(network, path):
    model, params, header = load_network(path)
    assert model.heads == ("mask_inference", "transcription")
    assert model.clone(heads=network[0].heads) == network[0]
    assert header["about"] == {"licence": "CC0", "seed": 7}
    assert header["decoding"] == DECODING
    names = {name for name in by_name(network[1]) if not name.startswith("embedding_head")}
    assert by_name(params).keys() == names
    for name, array in by_name(params).items():
        whole = np.asarray(by_name(network[1])[name])
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, whole.astype(np.float16).astype(np.float32))


def test_a_predictor_of_the_file_hears_what_that_of_the_network_hears(network, path):
    song = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    decoding = {name: DecodingConfig(**own) for name, own in DECODING.items()}
    expected = Predictor(*network, decoding).predict(song, 16000)
    found = Predictor.pretrained(str(path)).predict(song, 16000)
    np.testing.assert_allclose(found.sources, expected.sources, atol=1e-4)
    np.testing.assert_allclose(found.rolls, expected.rolls, atol=1e-3)
    assert Predictor.pretrained(str(path)).decoding == decoding


def test_the_file_is_read_by_others(path):
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = safetensors.load_file(path)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    assert path.stat().st_size < 2 * sum(a.size for a in arrays.values()) + 5000


def test_a_network_that_only_clusters_is_refused():
    model = tiny_model(heads=("deep_clustering",))
    with pytest.raises(ValueError, match="masks or rolls expected, got deep_clustering alone"):
        network_bytes(model, {}, {}, about={})


def test_a_weight_beyond_half_precision_is_refused(network):
    model, params = network
    params = jax.tree.map(lambda leaf: leaf, params)
    params["mask_head"]["bias"] = params["mask_head"]["bias"] + 1e6
    with pytest.raises(ValueError, match="mask_head/bias: weights finite in half precision"):
        network_bytes(model, params, DECODING, about={})


def test_a_flipped_bit_is_noticed(path, content):
    at = len(content) - 100
    path.write_bytes(content[:at] + bytes([content[at] ^ 64]) + content[at + 1 :])
    with pytest.raises(ValueError, match=r"tiny.safetensors: not a network.*: not as saved"):
        load_network(path)


def rewritten(content, change):
    """The file with what `change` makes of its own header, and the checksum of that."""
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    own = json.loads(header["__metadata__"]["cerberus_jax"])
    change(own)
    header["__metadata__"]["cerberus_jax"] = json.dumps(own)
    header["__metadata__"]["checksum"] = str(zlib.crc32(json.dumps(own).encode()))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[end:]


def test_arrays_of_another_network_are_named(path, content):
    path.write_bytes(rewritten(content, lambda own: own["model"].update(hidden=9)))
    with pytest.raises(ValueError, match="arrays are of another network: mask_head/kernel"):
        load_network(path)


@pytest.mark.parametrize("version", [0, METADATA_VERSION + 1])
def test_another_version_is_refused(path, content, version):
    path.write_bytes(rewritten(content, lambda own: own.update(version=version)))
    with pytest.raises(
        ValueError, match=rf"version: 1 to \d+ expected, got {version}; it takes a newer"
    ):
        load_network(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_by_name(content, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "tiny.safetensors"
    if data.draw(st.booleans()):
        damaged = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, 3000))
        damaged = content[:at] + data.draw(st.binary(min_size=1, max_size=8)) + content[at + 8 :]
    path.write_bytes(damaged)
    if damaged == content:
        return
    with pytest.raises(ValueError, match=r"tiny\.safetensors: not a network saved by"):
        load_network(path)


def test_names_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such file"):
        Predictor.pretrained(str(tmp_path / "none.safetensors"))
    with pytest.raises(ValueError, match=r"pretrained: .*\.safetensors expected, got 'nobody'"):
        Predictor.pretrained("nobody")


def test_the_package_has_our_network_and_that_of_the_paper():
    assert pretrained.names() == ("wide", "cerberus_wide")


@pytest.mark.parametrize("name", pretrained.names())
def test_networks_of_the_package_separate(name):
    _, _, header = load_network(pretrained.network_path(name))
    assert header["about"]["tuned"] and "TimGM6mb (GPL-2)" in header["about"]["licence"]
    assert header["about"]["sessions"][0]["commit"]
    predictor = Predictor.pretrained(name)
    assert predictor.grid != GRID
    song = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    assert predictor.predict(song, 16000).sources.shape == (len(predictor.instruments), 1, 16000)
    assert pretrained.network_path(name).stat().st_size <= 10e6
