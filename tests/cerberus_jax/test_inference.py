"""A song through a small network: shapes, sums, streams, windows against the whole."""

import dataclasses

import jax
import numpy as np
import pytest

from cerberus_jax.architecture import metadata_of
from cerberus_jax.checkpoint import CheckpointWriter
from cerberus_jax.decoding import DecodingConfig, frame_envelope, with_velocities
from cerberus_jax.inference import Predictor
from cerberus_jax.note_stream import NoteStream
from cerberus_jax.stft import stft
from cerberus_jax.train_state import OptimizerConfig, TrainState
from tests.tiny_network import GRID, half_full_network, tiny_model


@pytest.fixture(scope="module")
def predictor():
    whole = Predictor.untrained(tiny_model())
    return dataclasses.replace(whole, window_seconds=0.5, context_seconds=0.1)


def _song(*shape, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def test_stereo_sources_sum_to_the_song(predictor):
    song = _song(2, 20000)
    found = predictor.predict(song, 16000)
    assert found.instruments == ("piano", "bass")
    assert found.sources.shape == (2, 2, 20000)
    assert found.rolls.shape == (2, GRID.num_frames(20000), 88)
    assert set(found.notes) == {"piano", "bass"}
    np.testing.assert_allclose(found.sources.sum(0), song, atol=2e-6)


@pytest.mark.parametrize(("rate", "num_samples"), [(48000, 12345), (8000, 4000), (44100, 1)])
def test_any_rate_keeps_rate_and_length(predictor, rate, num_samples):
    found = predictor.predict(_song(num_samples), rate)
    assert found.sources.shape == (2, 1, num_samples)
    assert np.isfinite(found.sources).all()


@pytest.mark.parametrize("num_samples", [1, 10, 100])
def test_a_song_shorter_than_a_frame(predictor, num_samples):
    song = _song(num_samples)
    found = predictor.predict(song, 16000)
    np.testing.assert_allclose(found.sources.sum(0)[0], song, atol=1e-6)


def test_blocks_do_not_matter(predictor):
    song = _song(1, 30000)
    joined = []
    for cuts in ([], [7, 9000]):
        pieces = list(predictor.predict_stream(np.split(song, cuts, axis=1)))
        sources, rolls = zip(*pieces, strict=True)
        frames = np.concatenate([roll.frames for roll in rolls], axis=1)
        joined.append((np.concatenate(sources, axis=2), frames))
    np.testing.assert_array_equal(joined[0][0], joined[1][0])
    np.testing.assert_array_equal(joined[0][1], joined[1][1])


def test_windows_agree_with_the_whole_song_away_from_its_level(predictor):
    """With the magnitude itself as input, context is the only difference, and the forgotten
    state of this small network is far behind it."""
    model = tiny_model(input_scaling="linear")
    windowed = dataclasses.replace(predictor, model=model, params=Predictor.untrained(model).params)
    song = _song(1, 24000)
    found = windowed.predict(song, 16000)
    whole, rolls = windowed.predict_batch(song)
    np.testing.assert_allclose(found.sources[:, 0, 3000:-3000], whole[0, :, 3000:-3000], atol=1e-4)
    np.testing.assert_allclose(found.rolls[:, 90:-90], rolls.frames[0, :, 90:-90], atol=1e-4)


def test_the_reference_of_the_song_is_that_of_its_loudest_bin(predictor):
    predictor = half_full_network(predictor)
    song = _song(1, 30000) * np.linspace(0.1, 1, 30000, dtype=np.float32)
    db_reference = predictor.song_db_reference(np.split(song, [100, 7000], axis=1))
    np.testing.assert_allclose(
        db_reference, np.abs(stft(jax.numpy.asarray(song), GRID)).max(), rtol=1e-6
    )
    by_song = dataclasses.replace(predictor, db_reference="song")
    found = by_song.predict(song, 16000)
    pieces = list(by_song.predict_stream([song], db_reference=db_reference))
    np.testing.assert_array_equal(found.rolls, np.concatenate([p[1].frames for p in pieces], 1))
    assert not np.allclose(found.rolls, predictor.predict(song, 16000).rolls, atol=1e-3)
    whole = dataclasses.replace(predictor, exact=True).predict(song, 16000)
    middle = slice(100, -100)
    by_window = np.abs(predictor.predict(song, 16000).rolls - whole.rolls)[:, middle].mean()
    assert np.abs(found.rolls - whole.rolls)[:, middle].mean() < by_window
    with pytest.raises(ValueError, match="db_reference: 'song' needs that of song_db_reference"):
        next(by_song.predict_stream([song]))
    with pytest.raises(ValueError, match="one of window, song expected, got 'loud'"):
        dataclasses.replace(predictor, db_reference="loud")


def test_velocities_follow_the_sources(predictor):
    predictor = half_full_network(predictor)
    found = predictor.predict(_song(2, 30000), 16000)
    for name, source in zip(found.instruments, found.sources, strict=True):
        notes = predictor.decode(found.rolls)[name]
        levels = frame_envelope(source, 16000, GRID)
        assert len(notes) > 0
        assert found.notes[name] == with_velocities(notes, levels, GRID)
        assert found.notes[name] != notes


def test_silence_stays_silent(predictor):
    assert not predictor.predict(np.zeros(9000, np.float32), 16000).sources.any()


def test_loaded_network_predicts_like_the_saved_one(tmp_path):
    model = tiny_model()
    params = Predictor.untrained(model, seed=3).params
    metadata = metadata_of(model, {name: {"threshold": 0.25} for name in model.instruments})
    with CheckpointWriter(tmp_path) as writer:
        writer.save("best", TrainState.create(params, OptimizerConfig()), metadata)
    loaded = Predictor.load(tmp_path)
    assert loaded.decoding["bass"] == DecodingConfig(threshold=0.25)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, params)
    assert loaded.grid == GRID and loaded.instruments == model.instruments


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (np.zeros(0), 16000, "samples of shape"),
        (np.zeros((0, 100)), 16000, "samples of shape"),
        (np.zeros((1, 2, 3)), 16000, "samples of shape"),
        (np.array([0.0, np.nan]), 16000, "every sample must be finite"),
        (np.zeros(5), 0, "sample_rate_hz: must be positive"),
    ],
)
def test_bad_songs_are_refused(predictor, waveform, rate, message):
    import inspect

    with pytest.raises(ValueError, match=message):
        inspect.unwrap(Predictor.predict)(predictor, waveform, rate)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("head", ["mask_inference", "transcription"])
def test_a_network_with_one_head_does_what_it_can(head, exact):
    alone = Predictor.untrained(tiny_model(heads=("deep_clustering", head)))
    song = _song(8000)
    sources, rolls = alone.predict_batch(song[None])
    found = dataclasses.replace(alone, exact=exact).predict(song, 16000)
    if head == "mask_inference":
        assert found.rolls is None and found.notes is None
        assert found.sources.shape == (len(alone.instruments), 1, 8000)
        if exact:
            np.testing.assert_allclose(found.sources[:, 0], sources[0], atol=1e-5)
    else:
        assert found.sources is None
        assert set(found.notes) == set(alone.instruments)
        assert found.rolls.shape == rolls.frames[0].shape
        assert found.onset_rolls is None and rolls.onsets is None
        if exact:
            np.testing.assert_allclose(found.rolls, rolls.frames[0], atol=1e-6)


@pytest.mark.parametrize("exact", [False, True])
def test_rolls_of_onsets_go_beside_the_others(exact):
    """And the notes are decoded from both, in the song as a whole and in a stream."""
    heads = ("transcription", "onsets")
    network = half_full_network(Predictor.untrained(tiny_model(heads=heads)))
    network = dataclasses.replace(
        network, exact=exact, window_seconds=0.5, context_seconds=0.1,
        decoding={
            "piano": DecodingConfig(onset_threshold=0.51, threshold=0.4),
            "bass": DecodingConfig(onset_threshold=0.52, threshold=0.5),
        },
    )  # fmt: skip
    song = _song(1, 20000)
    found = network.predict(song, 16000)
    assert found.onset_rolls.shape == found.rolls.shape == (2, GRID.num_frames(20000), 88)
    assert not np.allclose(found.onset_rolls, found.rolls, atol=0.01)
    if exact:
        rolls = network.predict_batch(song)[1]
        np.testing.assert_allclose(found.rolls, rolls.frames[0], atol=1e-6)
        np.testing.assert_allclose(found.onset_rolls, rolls.onsets[0], atol=1e-6)
    assert network.decode(found.rolls, found.onset_rolls) == found.notes
    assert network.decode(found.rolls) != found.notes
    stream = NoteStream(network.decode, GRID)
    for _, rolls in network.predict_stream(np.split(song, [7, 9000], axis=1)):
        stream.add(*rolls)
    for name, notes in stream.finish().items():
        assert len(notes) > 20
        np.testing.assert_allclose(np.sort(notes.onsets), np.sort(found.notes[name].onsets))


def test_a_network_that_only_clusters_hears_no_song():
    predictor = Predictor.untrained(tiny_model(heads=("deep_clustering",)))
    with pytest.raises(ValueError, match="neither a mask nor a transcription head"):
        predictor.predict(_song(100), 16000)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_sources_at_other_rates_sum_to_the_song(predictor, rate):
    song = _song(2, rate)
    found = predictor.predict(song, rate)
    np.testing.assert_allclose(found.sources.sum(0), song, atol=3e-6)


def test_the_whole_song_at_once(predictor):
    song = _song(1, 24000)
    exact = dataclasses.replace(predictor, exact=True).predict(song, 16000)
    whole, rolls = predictor.predict_batch(song)
    np.testing.assert_allclose(exact.sources[:, 0], whole[0], atol=2e-6)
    np.testing.assert_allclose(exact.rolls, rolls.frames[0], atol=1e-6)
