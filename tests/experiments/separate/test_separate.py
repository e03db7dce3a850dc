"""Songs in, stems and notes out; what goes wrong is said once and leaves nothing half-written."""

import csv
import errno
import types

import mido
import numpy as np
import pretty_midi
import pytest
import soundfile

from cerberus_jax.frames import FrameGrid
from cerberus_jax.inference import Predictor
from cerberus_jax.notes import Notes
from cerberus_jax.steps import Rolls
from data_pipeline.io.audio import read_audio, write_audio
from experiments.separate import main, separate
from experiments.songs import files as module
from experiments.songs.find import find_songs
from experiments.songs.folders import RECORD
from experiments.songs.notes import MIDI_FILE, NOTES_FILE
from tests.full_disk import room_for
from tests.tiny_run import prepare_data, tiny_config, write_run

NAMES = ("piano", "drums")
FILES = [RECORD, "drums.wav", "index.html", NOTES_FILE, "page", "piano.wav", MIDI_FILE]
NOTES = {
    "piano": Notes(np.array([[0.1, 0.5], [0.5, 1.0]]), np.array([60, 64]), np.array([90, 80])),
    "drums": Notes(np.array([[0.25, 0.26]]), np.array([36]), np.array([100])),
}


class HalfAndHalf:
    """Stands for a network: each source is half the song."""

    instruments = NAMES
    grid = FrameGrid()
    model = types.SimpleNamespace(heads=("mask_inference", "transcription"))
    db_reference, exact = "window", False
    share = 0.5

    def song_db_reference(self, blocks, sample_rate_hz):
        return 1.0

    def predict_stream(self, blocks, sample_rate_hz, db_reference=None):
        for block in blocks:
            yield np.stack([self.share * block] * 2), Rolls(np.zeros((2, 0, 88), np.float32))

    def decode(self, rolls):
        return NOTES


def song(path, *, channels=2, rate=48000, seconds=1.0, peak=0.3):
    rng = np.random.default_rng(0)
    waveform = peak * rng.uniform(-1, 1, (channels, round(seconds * rate)))
    write_audio(path, waveform.astype(np.float32), sample_rate_hz=rate)
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(root))


def test_the_command_with_a_real_network(run, tmp_path, capsys):
    path = song(tmp_path / "my song.wav")
    assert main([f"--workdir={run}", f"--out={tmp_path / 'out'}", str(path)]) == 0
    folder = tmp_path / "out" / "my song"
    assert names_in(tmp_path / "out") == ["my song"]
    assert names_in(folder) == sorted(FILES)
    for name in NAMES:
        waveform, rate = read_audio(folder / f"{name}.wav")
        assert (waveform.shape, rate) == ((2, 48000), 48000)
    assert "[1/1]" in capsys.readouterr().out
    page = (folder / "index.html").read_text()
    assert "my song" in page and "http" not in page


@pytest.mark.parametrize(
    ("channels", "rate", "num_samples"), [(1, 16000, 40), (2, 44100, 20), (3, 8000, 3000)]
)
def test_short_songs_and_other_rates(run, tmp_path, channels, rate, num_samples):
    path = song(tmp_path / "a.flac", channels=channels, rate=rate, seconds=num_samples / rate)
    (folder,) = separate([path], predictor=Predictor.load(run), out=tmp_path)
    waveform, stem_rate = read_audio(folder / "piano.wav")
    assert (waveform.shape, stem_rate) == ((channels, num_samples), rate)


def test_stems_add_up_to_the_song(tmp_path):
    path = song(tmp_path / "a.wav")
    (folder,) = separate([path], predictor=HalfAndHalf(), out=tmp_path / "out")
    stems = [read_audio(folder / f"{name}.wav")[0] for name in NAMES]
    np.testing.assert_allclose(sum(stems), read_audio(path)[0], atol=1.01 / 32768)


def test_stems_beyond_full_scale_are_not_clipped(tmp_path):
    class Loud(HalfAndHalf):
        share = 4.0

    path = song(tmp_path / "a.wav", peak=0.9)
    (folder,) = separate([path], predictor=Loud(), out=tmp_path / "out")
    assert soundfile.info(folder / "piano.wav").subtype == "FLOAT"
    assert np.abs(read_audio(folder / "piano.wav")[0]).max() > 3


def test_midi_tracks_programs_and_drum_channel(tmp_path):
    (folder,) = separate([song(tmp_path / "a.wav")], predictor=HalfAndHalf(), out=tmp_path / "out")
    parsed = pretty_midi.PrettyMIDI(str(folder / MIDI_FILE))
    tracks = {track.name: track for track in parsed.instruments}
    assert (tracks["piano"].program, tracks["piano"].is_drum) == (0, False)
    assert tracks["drums"].is_drum
    times = [(note.start, note.end, note.pitch) for note in tracks["piano"].notes]
    np.testing.assert_allclose(times, [(0.1, 0.5, 60), (0.5, 1.0, 64)], atol=1e-3)
    messages = [m for m in mido.MidiFile(folder / MIDI_FILE) if m.type == "note_on"]
    assert {m.channel for m in messages if m.note == 36} == {9}


def test_the_table_of_notes(tmp_path):
    (folder,) = separate([song(tmp_path / "a.wav")], predictor=HalfAndHalf(), out=tmp_path / "out")
    rows = list(csv.DictReader((folder / NOTES_FILE).open()))
    assert [row["instrument"] for row in rows] == ["piano", "drums", "piano"]
    assert rows[1] == {
        "onset_seconds": "0.2500",
        "offset_seconds": "0.2600",
        "instrument": "drums",
        "pitch": "36",
        "velocity": "80",  # the only note of its instrument: the middle of the loudness scale
    }


def test_broken_songs_do_not_stop_the_others(tmp_path, capsys):
    folder = tmp_path / "songs"
    folder.mkdir()
    for name in ("a.wav", "c.flac", "e.ogg"):
        song(folder / name, rate=16000) if name != "e.ogg" else soundfile.write(
            folder / name, np.zeros((1600, 1)) + 0.1, 16000
        )
    (folder / "b.wav").write_text("this is text")
    (folder / "d.wav").touch()
    (folder / "notes.txt").write_text("not a song")
    write_audio(folder / "f.wav", np.zeros(0, np.float32), sample_rate_hz=16000)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"3 of 6 songs failed .*b\.wav.*d\.wav.*f\.wav"):
        separate([folder], predictor=HalfAndHalf(), out=out)
    assert names_in(out) == ["a", "c", "e"]
    assert all(names_in(out / name) == sorted(FILES) for name in "ace")
    messages = capsys.readouterr().err
    assert "b.wav: cannot be read as audio" in messages
    assert "f.wav: holds no samples" in messages


def test_nothing_is_overwritten_unasked(tmp_path, capsys):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    (folder,) = separate([path], predictor=HalfAndHalf(), out=out)
    (folder / "piano.wav").write_text("mine")
    (folder / "keep.txt").write_text("mine")
    with pytest.raises(ValueError, match="1 of 1 songs failed"):
        separate([path], predictor=HalfAndHalf(), out=out)
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert (folder / "piano.wav").read_text() == "mine"
    separate([path], predictor=HalfAndHalf(), out=out, overwrite=True)
    assert read_audio(folder / "piano.wav")[0].shape == (2, 48000)
    assert (folder / "keep.txt").read_text() == "mine"
    assert names_in(out) == ["a"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    path, out = song(tmp_path / "a.wav"), tmp_path / "out"
    songs = [path, song(tmp_path / "b.wav", seconds=0.1)]
    with (
        room_for(100_000),
        pytest.raises(OSError, match="cannot write the files of a song") as error,
    ):
        separate(songs, predictor=HalfAndHalf(), out=out)
    assert error.value.errno == errno.EFBIG
    assert names_in(out) == []


def test_an_interrupt_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_notes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        separate([song(tmp_path / "a.wav")], predictor=HalfAndHalf(), out=tmp_path / "out")
    assert names_in(tmp_path / "out") == []


def test_a_place_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()

    class NeverAsked(HalfAndHalf):
        def predict_stream(self, blocks, sample_rate_hz, db_reference=None):
            pytest.fail("computed before the folder was tried")

    for out in (blocked, blocked / "below", "/proc/nowhere"):
        with pytest.raises(OSError):
            separate([song(tmp_path / "a.wav")], predictor=NeverAsked(), out=out)


def test_songs_of_one_name(tmp_path):
    for album in ("first", "second"):
        (tmp_path / album).mkdir()
        song(tmp_path / album / "mix.wav", rate=16000)
    songs = [tmp_path / "first" / "mix.wav", tmp_path / "second" / "mix.wav"]
    separate(songs, predictor=HalfAndHalf(), out=tmp_path / "out")
    assert names_in(tmp_path / "out") == ["first_mix", "second_mix"]
    song(tmp_path / "first" / "mix.flac", rate=16000)
    separate([tmp_path / "first"], predictor=HalfAndHalf(), out=tmp_path / "other")
    assert names_in(tmp_path / "other") == ["mix.flac", "mix.wav"]
    (tmp_path / "more/first").mkdir(parents=True)
    songs = [songs[0], song(tmp_path / "more/first/mix.wav")]
    with pytest.raises(ValueError, match=r"mix.wav and .*mix.wav would both be written"):
        separate(songs, predictor=HalfAndHalf(), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_finding_songs(tmp_path):
    a, b = song(tmp_path / "a.wav"), song(tmp_path / "B.WAV")
    (tmp_path / ".hidden.wav").touch()
    assert find_songs([tmp_path, a]) == [b, a]
    with pytest.raises(FileNotFoundError, match="no such song or folder"):
        find_songs([tmp_path / "c.wav"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no audio files in this folder"):
        find_songs([tmp_path / "empty"])


def test_networks_without_a_mask_head_are_refused(tmp_path):
    network = HalfAndHalf()
    network.model = types.SimpleNamespace(heads=("deep_clustering", "transcription"))
    with pytest.raises(
        ValueError, match=r"no mask head, only deep_clustering, transcription; what"
    ):
        separate([song(tmp_path / "a.wav")], predictor=network, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_songs_beside_flags_on_the_command_line(tmp_path, capsys):
    assert main(["--workdir=x", "--out=y"]) == 1
    assert main(["--workdir", "x", "--out", "y", str(tmp_path / "none.wav")]) == 1
    messages = capsys.readouterr().err.splitlines()
    assert "no song given" in messages[0]
    assert "none.wav: no such song or folder" in messages[1]
    path = song(tmp_path / "a.wav")
    assert main([f"--workdir={tmp_path}", "--out=y", str(path)]) == 1
    assert "holds no checkpoint" in capsys.readouterr().err
    assert main(["--no-page", f"--workdir={tmp_path}", "--out=y", "--", "--my-song.wav"]) == 1
    assert "--my-song.wav: no such song or folder" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "--overwrite" in capsys.readouterr().out


def test_flags_may_have_hyphens(run, tmp_path):
    path = song(tmp_path / "a-b.wav")
    flags = ["--no-extend-masks", "--no-page", "--exact", "--other"]
    assert main([f"--workdir={run}", f"--out={tmp_path / 'out-put'}", *flags, str(path)]) == 0
    folder = tmp_path / "out-put" / "a-b"
    assert "other.wav" in names_in(folder) and "page" not in names_in(folder)
    other, _ = read_audio(folder / "other.wav")
    assert np.abs(other).mean() > 0.05  # what lies above half the network's rate


def test_what_counts_as_0_db_is_the_loudest_moment_of_the_song_or_of_the_window(run, tmp_path):
    """A quiet window before a loud one: by that of the song the network hears it as quiet."""
    rng = np.random.default_rng(0)
    waveform = 0.01 * rng.uniform(-1, 1, 24 * 16000).astype(np.float32)
    waveform[22 * 16000 :] *= 60
    path = tmp_path / "a.wav"
    write_audio(path, waveform, sample_rate_hz=16000)
    waveform, _ = read_audio(path)
    stems = {}
    for choice in ("window", "song"):
        out = tmp_path / choice
        flags = [f"--out={out}", f"--db_reference={choice}", "--subtype=FLOAT", "--no-page"]
        assert main([f"--workdir={run}", *flags, str(path)]) == 0
        stems[choice] = read_audio(out / "a" / "piano.wav")[0]
        predictor = Predictor.load(run, db_reference=choice)
        predicted = predictor.predict(waveform, 16000).sources[0]
        np.testing.assert_allclose(stems[choice], predicted, atol=1e-6)
    assert np.abs(stems["song"] - stems["window"])[:, : 16 * 16000].max() > 1e-5
