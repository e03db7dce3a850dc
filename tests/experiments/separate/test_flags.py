"""The flags of the command: what they refuse, in one line and before anything is written, and the
defaults."""

import csv

import pytest

from experiments.separate import main
from experiments.songs.notes import NOTES_FILE
from tests.experiments.separate.test_separate import NAMES, song
from tests.tiny_run import prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = prepare_data(tmp_path_factory.mktemp("prepared"))
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(root))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--format=aac", "--format=aac: value should be one of <wav|flac|mp3|ogg>"),
        ("--subtype=FLOAT --format=flac", "flac files can be PCM_16, PCM_24, got 'FLOAT'"),
        ("--subtype=PCM_16 --format=mp3", "subtype: mp3 files have no bit depth, got PCM_16"),
        ("--out=", "--out is missing"),
        ("--threshold=2", "--threshold=2: DecodingConfig: threshold must lie between 0.001 and"),
        ("--threshold=kazoo=.3", "this network transcribes piano, drums, got 'kazoo'"),
        ("--onset_threshold=.3", "this network has no roll of onsets"),
        ("--subtype=PCM_8", "--subtype=PCM_8: value should be one of <PCM_16|PCM_24|FLOAT>"),
        ("--bpm=fast", "--bpm=fast: could not convert"),
        ("--bpm=0", "0.0 is not a number in the range [4, 1000]"),
        ("--db_reference=loud", "--db_reference=loud: value should be one of <window|song>"),
        ("--only=kazoo", "only: kazoo asked for; the network knows piano, drums"),
        ("--minus=kazoo", "minus: kazoo asked for"),
    ],
)
def test_wishes_that_cannot_be_met(run, tmp_path, capsys, flag, message):
    path = song(tmp_path / "a.wav")
    out = tmp_path / "out"
    assert main([f"--workdir={run}", f"--out={out}", *flag.split(), str(path)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_thresholds_and_the_folder_that_none_is_named_for(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    song(tmp_path / "a.wav")
    counts = []
    for flags in (["--threshold=0.01"], ["--threshold=0.01,drums=1", "--overwrite"]):
        assert main([f"--workdir={run}", "--no-page", *flags, "a.wav"]) == 0
        rows = list(csv.DictReader((tmp_path / "separated" / "a" / NOTES_FILE).open()))
        counts.append([sum(row["instrument"] == name for row in rows) for name in NAMES])
    assert counts[0][0] == counts[1][0] > 0
    assert counts[0][1] > 0 and counts[1][1] == 0
