"""The files of a song together are the song: to the last bit, in every format."""

import csv
import dataclasses
import json
import re

import numpy as np
import pretty_midi
import pytest

from cerberus_jax.decoding import DecodingConfig
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_audio
from data_pipeline.io.audio_stream import SCALES, AudioWriter, quantise
from data_pipeline.io.midi import Part, read_midi, write_midi
from experiments.separate import separate
from experiments.songs.files import files_of
from experiments.songs.folders import RECORD
from experiments.songs.notes import MIDI_FILE, NOTES_FILE
from experiments.songs.options import SongOptions
from experiments.songs.page import PAGE_FILE, SOUNDS
from experiments.songs.stems import stem_names
from tests.experiments.separate.test_separate import NAMES, NOTES, HalfAndHalf, names_in, song
from tests.tiny_run import prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(root))


def read_quantised(path, subtype):
    waveform, _ = read_audio(path)
    return np.rint(waveform.astype(np.float64) * SCALES[subtype])


@pytest.mark.parametrize(
    ("format", "subtype"), [("wav", "PCM_16"), ("wav", "PCM_24"), ("flac", "PCM_16")]
)
@pytest.mark.parametrize("only", [(), ("drums",)])
def test_stems_and_the_rest_are_the_song_to_the_last_bit(run, tmp_path, format, subtype, only):
    path = tmp_path / "a.wav"
    waveform = 0.9 * np.random.default_rng(0).uniform(-1, 1, (2, 30000)).astype(np.float32)
    with AudioWriter(path, sample_rate_hz=44100, num_channels=2, subtype=subtype) as writer:
        writer.write(quantise(waveform, subtype))
    options = SongOptions(format=format, subtype=subtype, only=only, other=True, minus=NAMES)
    low = dict.fromkeys(NAMES, DecodingConfig(threshold=0.01))
    predictor = dataclasses.replace(Predictor.load(run), decoding=low)
    (folder,) = separate([path], predictor=predictor, out=tmp_path, options=options)
    names = [*(only or NAMES), "other"]
    stems = {name: read_quantised(folder / f"{name}.{format}", subtype) for name in names}
    np.testing.assert_array_equal(sum(stems.values()), read_quantised(path, subtype))
    without = read_quantised(folder / f"minus_drums.{format}", subtype)
    np.testing.assert_array_equal(without + stems["drums"], read_quantised(path, subtype))
    assert (folder / f"piano.{format}").exists() == (not only)
    written = {file.name for file in folder.glob(f"*.{format}")}
    assert written == {f"{name}.{format}" for name in stem_names(NAMES, options)}
    assert written | {NOTES_FILE, MIDI_FILE, PAGE_FILE, SOUNDS, RECORD} == set(names_in(folder))
    assert set(names_in(folder)) == files_of(predictor, options) | {RECORD}
    rows = list(csv.DictReader((folder / NOTES_FILE).open()))
    assert {row["instrument"] for row in rows} == set(only or NAMES)
    assert [part.name for part in read_midi(folder / MIDI_FILE)] == list(only or NAMES)


def test_floats_sum_to_the_song_within_their_rounding(run, tmp_path):
    path = song(tmp_path / "a.wav")
    options = SongOptions(subtype="FLOAT", other=True, page=False)
    (folder,) = separate([path], predictor=Predictor.load(run), out=tmp_path, options=options)
    stems = [read_audio(folder / f"{name}.wav")[0] for name in (*NAMES, "other")]
    np.testing.assert_allclose(sum(stems), read_audio(path)[0], atol=2e-7)
    assert not (folder / "index.html").exists()


def test_the_tempo_moves_bars_not_notes(tmp_path):
    for bpm in (50.0, 133.0):
        options = SongOptions(bpm=bpm)
        (folder,) = separate(
            [song(tmp_path / "a.wav")],
            predictor=HalfAndHalf(),
            out=tmp_path / f"{bpm}",
            options=options,
        )
        parsed = pretty_midi.PrettyMIDI(str(folder / MIDI_FILE))
        assert parsed.get_tempo_changes()[1] == pytest.approx([bpm], rel=1e-5)
        times = [(note.start, note.end) for note in parsed.instruments[0].notes]
        np.testing.assert_allclose(times, [(0.1, 0.5), (0.5, 1.0)], atol=1e-4)


def test_true_notes_beside_those_found(tmp_path):
    refs = tmp_path / "refs"
    refs.mkdir()
    parts = [
        Part("Grand", 1, False, NOTES["piano"]),
        Part("More", 5, False, NOTES["piano"].transposed(12)),
        Part("Flute", 73, False, NOTES["piano"]),
        Part("Late", 0, False, Notes(np.array([[5.0, 6.0]]), np.array([50]), np.array([90]))),
    ]
    write_midi(refs / "a.mid", parts)
    (folder,) = separate(
        [song(tmp_path / "a.wav")], predictor=HalfAndHalf(), out=tmp_path / "out", references=refs
    )
    text = (folder / "index.html").read_text()
    data = json.loads(re.search(r'class="listening">(.*?)</script>', text)[1])
    mixture, piano, drums = data["rows"]
    assert [row["name"] for row in (mixture, piano, drums)] == [None, *NAMES]
    assert [note[2] for note in piano["reference"]] == [60, 72, 64, 76]
    assert piano["about"].endswith(" notes, 4 true")
    assert "reference" not in drums
    assert drums["notes"] == [[0.25, 0.26, 36, 80]]
