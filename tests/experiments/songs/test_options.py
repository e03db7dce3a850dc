"""What may be asked for of a song."""

import pytest

from data_pipeline.io.midi import MAX_BPM, MIN_BPM
from experiments.songs.options import SongOptions


@pytest.mark.parametrize("bpm", [MIN_BPM - 0.01, MAX_BPM + 0.01, float("nan")])
def test_a_tempo_that_midi_cannot_hold(bpm):
    with pytest.raises(ValueError, match=rf"bpm: must lie in {MIN_BPM}\.\.{MAX_BPM}, got {bpm}"):
        SongOptions(bpm=bpm)


@pytest.mark.parametrize("bpm", [MIN_BPM, MAX_BPM])
def test_the_slowest_and_the_fastest_tempo(bpm):
    assert SongOptions(bpm=float(bpm)).bpm == bpm
