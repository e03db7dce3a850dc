"""Whole songs by networks and by what stands for basic-pitch, scored."""

import json

import numpy as np
import pytest

from cerberus_jax.inference import Predictor
from cerberus_jax.metrics import si_sdr
from cerberus_jax.notes import Notes
from data_pipeline.io.audio import read_mono_pcm16
from data_pipeline.io.midi import Part, write_midi
from data_pipeline.prepare import prepare
from data_pipeline.prepared.catalogue import Catalogue
from experiments.studies import tracks
from tests.tiny_run import tiny_config, write_run
from tests.tiny_slakh import make_track

STEMS = ("piano", "drums", "piano", "bass")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tree with a song of all stems and one without drums, their notes, and a run."""
    root = tmp_path_factory.mktemp("slakh")
    notes = {
        "Track00001": make_track(root / "raw/train/Track00001", STEMS, seconds=4),
        "Track00002": make_track(root / "raw/test/Track00002", ("piano", "bass"), seconds=3),
    }
    write_run(root / "run", tiny_config(root))
    return root, notes


def fake_basic_pitch(folder, notes):
    """A command that finds these notes in any sound."""
    write_midi(folder / "notes.mid", [Part("piano", 0, False, notes)])
    command = folder / "basic-pitch"
    command.write_text(
        f'#!/bin/sh\ntest "$1" = --save-midi && test -s "$3" || exit 1\n'
        f'cp {folder}/notes.mid "$2/song_basic_pitch.mid"\n'
    )
    command.chmod(0o755)
    return command


def run(made, *more):
    root, _ = made
    return tracks.main([f"--root={root}/raw", f"--networks={root}/run", *map(str, more)])


def test_scores_of_every_song(made, tmp_path, capsys):
    root, notes = made
    pitched = Notes.joined([notes["Track00001"][key] for key in ("S00", "S02")])
    command = fake_basic_pitch(tmp_path, pitched)
    assert run(made, f"--basic_pitch={command}", f"--out={tmp_path}/out.json") == 0
    figures = json.loads((tmp_path / "out.json").read_text())
    network, mixture = f"{root}/run", "basic-pitch, mixture"
    assert list(figures) == [
        network,
        mixture,
        f"basic-pitch, stems of {network}",
        "basic-pitch, true stems",
    ]
    songs = {"Track00001": {"piano", "drums"}, "Track00002": {"piano"}}
    assert {song: set(scores) - {"pooled"} for song, scores in figures[network].items()} == songs
    # Both pianos are one instrument, whose notes the command finds in the song of both.
    assert figures[mixture]["Track00001"]["pooled"]["onset_f1"] == pytest.approx(1)
    assert figures[mixture]["Track00002"]["pooled"]["onset_f1"] < 1
    assert set(figures["basic-pitch, true stems"]["Track00001"]) == {"piano"}
    text = capsys.readouterr().out
    assert "mean of all" in text and "all pitched notes pooled" in text

    folder = root / "raw/train/Track00001/stems"
    stems = [read_mono_pcm16(folder / f"S{k:02d}.flac", 16000) / 32768 for k in range(3)]
    sources = np.stack([stems[0] + stems[2], stems[1]])
    sources *= 0.5 / np.abs(sources.sum(0)).max()
    found = Predictor.load(root / "run").predict(sources.sum(0), 16000).sources[:, 0]
    mixtures = np.broadcast_to(sources.sum(0), sources.shape)
    expected = si_sdr(found, sources) - si_sdr(mixtures, sources)
    shown = figures[network]["Track00001"]
    for name, value in zip(("piano", "drums"), expected, strict=True):
        assert shown[name]["si_sdr_improvement"] == pytest.approx(float(value), abs=1e-3)


def test_what_plays_alone_cannot_be_separated(made, tmp_path):
    root, _ = made
    assert run(made, f"--out={tmp_path}/out.json") == 0
    alone = json.loads((tmp_path / "out.json").read_text())[f"{root}/run"]["Track00002"]["piano"]
    assert alone["si_sdr_improvement"] is None and alone["onset_f1"] is not None


def test_the_rest_is_what_has_no_slot(tmp_path):
    make_track(tmp_path / "raw/train/Track00001", ("piano", "organ", "bass"), seconds=2)
    prepare("slakh2100", tmp_path / "raw", out=tmp_path / "out", progress=False)
    (song,) = tracks.songs_of(Catalogue.load(tmp_path / "out"), ("piano", "rest"))
    assert song.sounding == ("piano", "rest") and set(song.reference.notes) == {"piano"}
    folder = tmp_path / "raw/train/Track00001/stems"
    stems = [read_mono_pcm16(folder / f"S{k:02d}.flac", 16000) / 32768 for k in range(3)]
    expected = np.stack([stems[0], stems[1] + stems[2]])
    expected *= 0.5 / np.abs(expected.sum(0)).max()
    np.testing.assert_allclose(song.reference.sources, expected, atol=1e-6)


def test_a_stem_with_unknown_notes_is_separated_and_no_more(made):
    root, _ = made
    prepare("slakh2100", root / "raw", out=root / "unlabelled", progress=False)
    catalogue = Catalogue.load(root / "unlabelled")
    t = catalogue.tables
    t.stem_is_labelled[(t.stem_instruments == "piano").argmax()] = False
    song = next(tracks.songs_of(catalogue, ("piano", "drums")))
    assert song.sounding == ("piano", "drums") and set(song.reference.notes) == {"drums"}
    scores, _ = tracks.score_network(tracks.load_network(f"{root}/run"), song)
    assert set(scores) == {"piano", "drums"}
    assert scores["piano"]["onset_f1"] is None
    assert scores["piano"]["si_sdr_improvement"] is not None


def test_songs_of_one_name_keep_their_scores_apart(tmp_path):
    for split, seed in (("train", 1), ("test", 2)):
        make_track(tmp_path / f"raw/{split}/Song", ("piano", "bass"), seconds=2, seed=seed)
        (tmp_path / f"raw/{split}/Song/metadata.yaml").write_text(
            (tmp_path / f"raw/{split}/Song/metadata.yaml").read_text().replace("Song", split)
        )
    prepare("slakh2100", tmp_path / "raw", out=tmp_path / "out", progress=False)
    songs = tracks.songs_of(Catalogue.load(tmp_path / "out"), ("piano", "bass"))
    assert {song.name for song in songs} == {"train/Song", "test/Song"}


def test_what_two_instruments_strike_together_is_pooled_once():
    one = Notes(np.array([[1.0, 2.0]]), np.array([60]), np.array([90]))
    late = Notes(np.array([[1.04, 3.0], [5.0, 6.0]]), np.array([60, 60]), np.array([80, 80]))
    found = tracks.pooled({"piano": one, "guitar": late, "drums": one.transposed(1)})
    expected = Notes(np.array([[1.0, 3.0], [5.0, 6.0]]), np.array([60, 60]), np.array([90, 80]))
    assert found == expected


@pytest.mark.parametrize("head", ["mask_inference", "transcription"])
def test_a_network_without_a_head_is_scored_by_the_other(made, head):
    root, _ = made
    config = tiny_config(root, **{f"loss.{head}": 0.0})
    predictor = Predictor.load(write_run(root / f"without_{head}", config))
    prepare("slakh2100", root / "raw", out=root / "prepared", progress=False)
    song = next(tracks.songs_of(Catalogue.load(root / "prepared"), predictor.instruments))
    scores, stems = tracks.score_network(predictor, song)
    assert (scores["piano"]["si_sdr_improvement"] is None) == (head == "mask_inference")
    assert (scores["piano"]["onset_f1"] is None) == (head == "transcription")
    assert bool(stems) == (head == "transcription") == ("pooled" not in scores)


def test_songs_without_any_of_the_instruments(made, tmp_path, capsys):
    root, _ = made
    make_track(tmp_path / "raw/train/Track00001", ("organ",), seconds=2)
    assert tracks.main([f"--root={tmp_path}/raw", f"--networks={root}/run"]) == 1
    assert "songs with piano, drums expected, got none" in capsys.readouterr().err


def test_the_table_has_means_of_instruments_and_of_all():
    def scores(value):
        return dict.fromkeys(tracks.SHOWN, value)

    text = tracks.table(
        "ours",
        {
            "a": {"piano": scores(1.0), "bass": scores(4.0), "pooled": scores(0.5)},
            "b": {"piano": scores(2.0) | {"si_sdr_improvement": None}, "pooled": scores(0.7)},
        },
    )
    rows = {line[:26].strip(): line[26:].split() for line in text.splitlines()[2:]}
    assert rows["piano"] == ["2", "1.00", "1.50", "1.50", "1.50"]
    assert rows["mean of all"] == ["3", "2.50", "2.33", "2.33", "2.33"]
    assert rows["all pitched notes pooled"] == ["2", *["0.60"] * 4]


def test_means_have_the_interval_of_drawn_songs():
    values = {"a": (1.0, 4.0), "b": (2.0, None), "c": (9.0, 3.0)}
    songs = {
        song: {"piano": dict.fromkeys(tracks.SHOWN, piano)}
        | ({"bass": dict.fromkeys(tracks.SHOWN, bass)} if bass else {})
        for song, (piano, bass) in values.items()
    }
    lines = tracks.table("ours", songs).splitlines()
    mean = next(k for k, line in enumerate(lines) if "mean of all" in line)
    low, high = (float(text) for text in lines[mean + 1].split("[")[1].split("]")[0].split(","))

    rng, drawn = np.random.default_rng(7), []
    for _ in range(20_000):
        picks = [values[song] for song in rng.choice(list(values), 3)]
        drawn.append(np.mean([value for pair in picks for value in pair if value]))
    expected = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose([low, high], expected, atol=0.3)
    one = tracks.table("ours", {"a": songs["a"]})
    assert "95 %" not in one


def test_a_file_of_a_network_will_do(made, tmp_path):
    from experiments.export import export

    root, _ = made
    file = tmp_path / "network.safetensors"
    export(root / "run", file)
    assert tracks.load_network(str(file)).instruments == ("piano", "drums")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--networks=runs/none"], "--root is missing, e.g. --root="),
        (["--root=."], "--networks is missing, e.g. --networks=runs/demo"),
        (["--root=.", "--networks=/no/run"], "--networks: the directory of a run, or "),
    ],
)
def test_what_is_missing_is_said(arguments, message, capsys):
    assert tracks.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_networks_with_other_instruments_are_refused(made, capsys):
    root, _ = made
    write_run(root / "other", tiny_config(root, instruments=("piano", "bass")))
    both = f"--networks={root}/run,{root}/other"
    assert tracks.main([f"--root={root}/raw", both]) == 1
    assert "other has other instruments or another rate than" in capsys.readouterr().err
