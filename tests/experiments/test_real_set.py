"""sets/real.py end to end: tiny MAPS and the genuine GuitarSet recording, trained and scored."""

import itertools
import json
import shutil

import numpy as np
import pytest

from data_pipeline import prepare
from data_pipeline.io.audio import write_audio
from data_pipeline.io.midi import Part, write_midi
from experiments.config.loading import load_config
from experiments.evaluate import evaluate
from experiments.run import train_run
from experiments.training import data
from tests.tiny_slakh import random_notes, tones

RECORDING = "BN1-129-Eb_comp"
FIELDS = {
    "batch_size": 2,
    "excerpt_seconds": 1.0,
    "audio.window": 512,
    "data.num_test_excerpts": 2,
    "data.num_validation_excerpts": 2,
    "evaluation.excerpt_seconds": 2.0,
    "model.layers": 1,
    "model.hidden": 8,
    "model.embedding_dim": 2,
    "train.num_steps": 2,
    "train.log_every": 1,
    "train.eval_every": 2,
    "train.checkpoint_every": 2,
}


def _maps(root):
    """Ten pieces of a training piano, one of them also on the test piano."""
    numbers = itertools.count()
    for piano, pieces in (("AkPnBcht", 11), ("ENSTDkCl", 1)):
        folder = root / piano / "MUS"
        folder.mkdir(parents=True)
        for piece in range(pieces):
            notes = random_notes(np.random.default_rng(next(numbers)), 60, 4.0)
            path = folder / f"MAPS_MUS-piece_{piece:02d}_{piano}.wav"
            stereo = np.stack([tones(notes, 4 * 44100, 44100)] * 2)
            write_audio(path, stereo, sample_rate_hz=44100)
            write_midi(path.with_suffix(".mid"), [Part("", 0, False, notes)])
    return root


def _guitarset(root, samples):
    """The one genuine recording as if of three players, one for each split."""
    source = samples / "guitarset"
    for name in ("annotation", "audio_mono-mic"):
        (root / name).mkdir(parents=True)
    for player in ("00", "04", "05"):
        jams = f"annotation/00_{RECORDING}.jams"
        audio = f"audio_mono-mic/00_{RECORDING}_mic.flac"
        shutil.copy(source / jams, root / jams.replace("00_", f"{player}_"))
        shutil.copy(source / audio, root / audio.replace("00_", f"{player}_"))
    return root


@pytest.fixture(scope="module")
def config(tmp_path_factory, samples):
    folder = tmp_path_factory.mktemp("real")
    roots = {
        "maps": _maps(folder / "maps"),
        "guitarset": _guitarset(folder / "guitarset", samples),
    }
    for corpus, root in roots.items():
        prepare.prepare(corpus, root, out=folder / "out", progress=False)
    return load_config("sets/real.py", FIELDS | {"data.root": str(folder / "out")})


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_split_mixes_one_of_each_corpus(config, split):
    planner = data.planner(config, split)
    planned, catalogue = planner.batch(0), planner.catalogue
    t = catalogue.tables
    assert [catalogue.corpora[i] for i in planned.corpora[0]] == ["maps", "guitarset"]
    assert t.stem_instruments[planned.stems[0]].tolist() == ["piano", "guitar"]
    tracks = t.track_ids[t.stem_tracks[planned.stems]]
    assert all("+" in name for name in planned.ids)
    assert all(name.startswith("MAPS_MUS-") and RECORDING in other for name, other in tracks)


def test_pieces_of_the_test_piano_are_never_trained_on(config):
    planner = data.planner(config, "train")
    t = planner.catalogue.tables
    splits = dict(zip(t.track_ids.tolist(), t.track_splits.tolist(), strict=True))
    assert splits["MAPS_MUS-piece_00_AkPnBcht"] == "omitted"
    assert splits["MAPS_MUS-piece_00_ENSTDkCl"] == "test"
    assert list(splits.values()).count("validation") == 2  # one piece, one player


def test_trained_and_scored(config, tmp_path):
    train_run(config, tmp_path)
    results = evaluate(tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert results["num_items"] == 2
    assert set(results["per_instrument"]) == {"piano", "guitar"}
    oracle = results["baselines"]["oracle_mask"]["per_instrument"]
    assert oracle["guitar"]["si_sdr_improvement"] > 3
    assert oracle["guitar"]["onset_f1"] > 0.9
