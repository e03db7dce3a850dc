"""The picture: a tone shows at its pitch and time in the spectrogram; all excerpts can be drawn."""

import numpy as np
import pytest
from matplotlib.image import imread

from cerberus_jax.notes import Notes
from data_pipeline.planning.batch import Excerpt
from data_pipeline.reading.excerpt_picture import draw_excerpt, log_spectrogram, note_count

RATE = 16000


@pytest.mark.parametrize("pitch", [33, 45, 60, 72, 84, 105])
def test_a_tone_shows_at_its_pitch_and_time(pitch):
    time = np.arange(2 * RATE) / RATE
    wave = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) * ((time > 0.7) & (time < 1.5))
    magnitude_db, pitches = log_spectrogram(wave, RATE)
    assert magnitude_db.shape == (len(pitches), 201)
    row, column = np.unravel_index(magnitude_db.argmax(), magnitude_db.shape)
    assert abs(pitches[row] - pitch) <= 0.25
    assert 70 <= column <= 150
    along = magnitude_db[row] > magnitude_db.max() - 6  # half the amplitude: edges in the middle
    assert abs(np.flatnonzero(along)[0] - 70) <= 2
    assert abs(np.flatnonzero(along)[-1] - 150) <= 2


def test_silence_and_short_waves_have_spectrograms_too():
    magnitude_db, _ = log_spectrogram(np.zeros(100), RATE)
    assert np.isfinite(magnitude_db).all()


def test_pictures_of_all_kinds(tmp_path):
    rng = np.random.default_rng(0)
    notes = Notes(np.array([[0.1, 0.5], [0.5, 0.5]]), np.array([60, 36]), np.array([90, 20]))
    sources = rng.normal(size=(3, RATE)).astype(np.float32) * 0.1
    sources[1] = 0
    labelled = (True, False, True)
    excerpt = Excerpt("Track00001@0.000[S00]", sources, (notes, Notes.empty(), notes), labelled)
    for number, drums in enumerate(((), ("drums",))):
        path = tmp_path / f"{number}.png"
        draw_excerpt(
            excerpt,
            ("piano", "pipe", "drums"),
            path=path,
            title="a picture",
            sample_rate_hz=RATE,
            drums=drums,
        )
        picture = imread(path)
        assert picture.shape[1] == 1760
        assert picture[..., :3].std() > 0.05
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["0.png", "1.png"]


def test_the_count_of_notes_that_are_not_known_is_not_0():
    assert note_count(Notes.empty(), True) == "0 notes"
    assert note_count(Notes.empty(), False) == "no labels"


def test_one_source_is_not_shown_twice_and_a_last_odd_one_takes_the_whole_row(tmp_path):
    notes = Notes(np.array([[0.1, 0.5]]), np.array([60]), np.array([90]))
    wave = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    heights = {}
    for count in (1, 2, 3):
        excerpt = Excerpt("x", np.stack([wave] * count), (notes,) * count)
        names = ("piano", "guitar", "bass")[:count]
        path = tmp_path / f"{count}.png"
        draw_excerpt(excerpt, names, path=path, title="a picture", sample_rate_hz=RATE)
        picture = imread(path)[..., :3]
        heights[count] = len(picture)
        dark = np.abs(picture - picture[-1, 0]).max(-1) < 0.02
        assert not dark[-120:-60, 900:1700].all()  # the right half of the last row is in use
    assert heights[1] < heights[2] < heights[3]
