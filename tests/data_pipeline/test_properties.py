"""What must hold for any input: random MIDI and metadata through the whole chain, mixtures, shifts.

Properties of single modules are tested beside them.
"""

import dataclasses

import mido
import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data_pipeline.corpora import slakh
from data_pipeline.io import pcm
from data_pipeline.io.audio import write_audio
from data_pipeline.planning.notes import NoteTable
from data_pipeline.planning.planner import Planner
from data_pipeline.planning.rolls import draw_rolls
from data_pipeline.prepared.convert import Job, convert, read_converted
from data_pipeline.prepared.pack import tables_of
from data_pipeline.reading.numpy_reader import read_sources
from tests.tiny_slakh import GRID, plan_config, tiny_catalogue

RATE, NUM_SAMPLES = 16000, 12800
_byte = st.integers(0, 127)
_time = st.integers(0, 700)
_channel = st.sampled_from([0, 0, 0, 1, 9])


def _message(kind, **fields):
    values = {"time": _time} | fields
    return st.fixed_dictionaries(values).map(lambda values: mido.Message(kind, **values))


_messages = st.lists(
    st.one_of(
        _message("note_on", channel=_channel, note=_byte, velocity=_byte),
        _message("note_off", channel=_channel, note=_byte),
        _message("program_change", channel=_channel, program=_byte),
        _message("control_change", channel=_channel, control=st.just(64), value=_byte),
        _message("pitchwheel", channel=_channel, pitch=st.integers(-8192, 8191)),
        st.integers(1, 2**24 - 1).map(lambda tempo: mido.MetaMessage("set_tempo", tempo=tempo)),
    ),
    max_size=40,
)
_entry = st.fixed_dictionaries(
    {
        "program_num": st.integers(0, 128) | st.sampled_from([-1, 999, None, "x", 1.5, True]),
        "is_drum": st.booleans() | st.sampled_from([None, "no", 3]),
    }
)
_pcm = hnp.arrays(np.int16, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 40)))


@settings(max_examples=60, deadline=None)
@given(
    tracks=st.lists(_messages, min_size=1, max_size=2),
    entry=_entry,
    pedal=st.booleans(),
    offset=st.integers(0, RATE),
)
def test_random_midi_and_metadata(tmp_path_factory, tracks, entry, pedal, offset):
    """Nothing crashes; every note of every window lies on the keys and inside the window, or began
    in the frame before, which stands for all before."""
    root = tmp_path_factory.getbasetemp() / "random_tree"
    folder = root / "train/Track00001"
    for name in ("stems", "MIDI"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_audio(folder / "stems/S00.wav", np.zeros(2 * RATE), sample_rate_hz=RATE)
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    file.tracks.extend(mido.MidiTrack(messages) for messages in tracks)
    file.save(folder / "MIDI/S00.mid")
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"stems": {"S00": entry}}))
    (track,) = slakh.scan(root, sustain_pedal=pedal)
    target = root / "converted.npz"
    convert(Job(track, target, RATE))
    converted = read_converted(target)
    if not converted["meta"]["stems"]:
        return
    tables = tables_of([converted])
    assert (tables.offsets >= tables.onsets).all()
    assert (tables.offsets <= 2).all()
    search = NoteTable(tables, GRID, NUM_SAMPLES)
    num_notes = max(1, search.max_notes(np.array([0])))
    rows = search.notes_of(np.array([[0]]), np.array([[offset]]), num_notes)[0, 0]
    first, end, pitch = rows[rows[:, 1] > 0].T
    assert (first >= -1).all()
    assert (np.maximum(first, 0) < end).all()
    assert (end <= GRID.num_frames(NUM_SAMPLES)).all()
    assert ((pitch >= 21) & (pitch <= 108)).all()


@settings(max_examples=100, deadline=None)
@given(samples=_pcm, data=st.data())
def test_the_mixture_is_exactly_the_sum_of_the_sources(samples, data):
    gain = st.floats(0.125, 4.0, width=32)
    gains = data.draw(hnp.arrays(np.float32, samples.shape[:2], elements=gain))
    sources = pcm.scale_sources(samples, gains)
    mixture = pcm.mix(sources)
    for b in range(len(samples)):
        total = np.zeros(samples.shape[2], np.float32)
        for s in range(samples.shape[1]):
            source = samples[b, s] / np.float32(32768) * gains[b, s]
            np.testing.assert_array_equal(sources[b, s], source)
            total = total + source
        np.testing.assert_array_equal(mixture[b], total)


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    catalogue = tiny_catalogue(tmp_path_factory.mktemp("properties"))
    return Planner(catalogue, plan_config(batch_size=4))


@settings(max_examples=60, deadline=None)
@given(k=st.integers(0, 50), moved=st.integers(1, 20), hop=st.just(GRID.hop))
def test_roll_and_audio_are_shifted_together(planner, k, moved, hop):
    """A window that starts `moved` frames later holds the same sound and roll, moved by as much."""
    t, length = planner.catalogue.tables, planner.config.num_samples
    planned = planner.batch(k)
    room = t.track_num_samples[t.stem_tracks[planned.stems]] - length - moved * hop
    offsets = np.minimum(planned.offsets, room)
    for stem, start in zip(planned.stems.ravel(), offsets.ravel(), strict=True):
        notes = planner.catalogue.notes(int(stem))
        frames = notes.intervals * GRID.frame_rate_hz - start / hop
        assume((np.abs(frames % 1 - 0.5) > 1e-6).all())  # halves are rounded to even frames
    sounds, rolls = [], []
    search = NoteTable(t, GRID, length)
    for start in (offsets, offsets + moved * hop):
        notes = search.notes_of(planned.stems, start, planner.num_notes)
        rolls.append(draw_rolls(notes, GRID.num_frames(length)))
        starts = t.stem_pcm_start[planned.stems] + start
        window = dataclasses.replace(planned, offsets=start, starts=starts, notes=notes)
        sounds.append(read_sources(window, planner.catalogue.pcm(), length))
    np.testing.assert_array_equal(sounds[0][..., moved * hop :], sounds[1][..., : -moved * hop])
    # The first frame cannot know of an earlier onset, the last one of a following one.
    earlier, later = rolls[0][:, :, moved + 1 : -1], rolls[1][:, :, 1 : -moved - 1]
    np.testing.assert_array_equal(earlier, later)
