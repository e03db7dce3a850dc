"""Thresholds of one's own: which instrument gets which, and what is refused, naming the flag."""

import pytest

from cerberus_jax.decoding_config import DecodingConfig
from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.model import Cerberus
from experiments.songs.thresholds import with_thresholds

NAMES = ("piano", "bass", "drums")
TUNED = DecodingConfig(threshold=0.45, onset_threshold=0.3, min_frames=2)


def network(*heads):
    model = Cerberus(FrameGrid(), (*NAMES, "vocals"), heads=heads, transcribed=NAMES)
    return Predictor(model, {}, dict.fromkeys(NAMES, TUNED))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.2", (0.2, 0.2, 0.2)),
        ("piano=0.3,bass=.6", (0.3, 0.6, 0.45)),
        ("0.2, drums=1", (0.2, 0.2, 1.0)),
        ("drums=1,0.2", (0.2, 0.2, 1.0)),
        ("", (0.45, 0.45, 0.45)),
    ],
)
def test_those_that_are_given_replace_the_tuned_ones(text, values):
    before = network("transcription")
    decoding = with_thresholds(before, threshold=text).decoding
    assert tuple(decoding[name].threshold for name in NAMES) == values
    assert {own.min_frames for own in decoding.values()} == {2}
    assert before.decoding["piano"] == TUNED


def test_a_roll_of_onsets_has_its_own():
    both = network("transcription", "onsets")
    decoding = with_thresholds(both, threshold="0.6", onset_threshold="bass=0.1").decoding
    assert [decoding[name].onset_threshold for name in NAMES] == [0.3, 0.1, 0.3]
    assert decoding["bass"].threshold == 0.6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vocals=0.3", r"--threshold=vocals=0.3: this network transcribes piano, bass, drums, got"),
        ("0", r"--threshold=0: .*between 0.001 and 1.0, got 0.0"),
        ("piano=1.01", r"--threshold=piano=1.01: .*between 0.001 and 1.0, got 1.01"),
        ("nan", r"--threshold=nan: .*got nan"),
        ("high", r"--threshold=high: expected 0.4 for all .*got 'high'"),
        ("piano=", r"--threshold=piano=: expected .*got 'piano='"),
        (",bass=0.2", r"expected .*got ''"),
        ("0.3,0.4", r"two values for all instruments"),
        ("bass=0.3,bass=0.4", r"two values for bass"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        with_thresholds(network("transcription"), threshold=text)


def test_networks_without_the_roll():
    with pytest.raises(ValueError, match=r"--threshold=0.3: this network does not transcribe"):
        with_thresholds(network("mask_inference"), threshold="0.3")
    with pytest.raises(ValueError, match=r"--onset_threshold=0.3: .*loss.onsets = 0"):
        with_thresholds(network("transcription"), onset_threshold="0.3")
