"""The benchmark of preparation: its corpus, its rate and table, what it refuses."""

import json

import pytest

from data_pipeline.corpora import slakh
from experiments.benchmarks import prepare
from tests.tiny_slakh import FIVE, make_tree


def _samples(folder):
    make_tree(folder / "slakh_44k", {"train": 1}, stems=("piano", "bass"), seconds=2, rate=44100)
    return folder


def test_a_small_run_on_tones(tmp_path, capsys):
    out = tmp_path / "figures.json"
    argv = [f"--samples={_samples(tmp_path / 'samples')}", "--small", f"--out={out}"]
    assert prepare.main(argv) == 0
    shown = capsys.readouterr().out
    assert out.with_suffix(".md").read_text() == shown
    assert "* MISS: 44.1 kHz" in shown  # four seconds do not pay for TensorFlow
    rows = json.loads(out.read_text())["rows"]
    assert [row["command"] for row in rows] == ["default", "one process"]
    for row in rows:
        assert (row["tracks"], row["seconds"]) == (2, pytest.approx(4.0))
        assert row["rate"] == pytest.approx(4.0 / (row["user"] + row["system"]))
        assert row["user"] > 0.2  # its own process and children alone import that much


def test_the_corpus_is_as_long_as_asked_and_all_of_it_is_usable(tmp_path):
    samples = _samples(tmp_path) / "slakh_44k"
    found = prepare.make_corpus(samples, tmp_path / "raw", 119.0)
    assert found == {"tracks": 60, "seconds": pytest.approx(120.0)}
    tracks = slakh.scan(tmp_path / "raw")
    assert [track.split for track in tracks] == ["train"] * 60  # of Slakh's 49 is in none
    used = set()
    for track in tracks:
        assert sorted(stem.instrument for stem in track.stems) == sorted(FIVE)
        assert not track.skipped
        used |= {stem.audio_path.resolve() for stem in track.stems}
    assert used == set(samples.rglob("*.flac"))


def test_what_was_left_out_is_no_figure(tmp_path):
    make_tree(tmp_path / "raw", {"train": 2}, stems=("piano",), seconds=1)
    next((tmp_path / "raw").rglob("*.flac")).write_bytes(b"fLaC")
    with pytest.raises(ValueError, match="prepare left stems out:"):
        prepare.measure(
            tmp_path / "raw", tmp_path / "out", ["--num_workers=1"], {"tracks": 2, "seconds": 2.0}
        )


def test_a_command_that_fails(tmp_path):
    with pytest.raises(ValueError, match=r"prepare failed: error: --root=.*no such folder"):
        prepare.measure(tmp_path / "no", tmp_path / "out", [], {})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--samples=: a folder with slakh_44k or slakh_16k_120s needed"),
        (["--samples=/no"], "--samples=/no: a folder with slakh_44k or"),
        (["--hours=-1"], "--hours must be positive, got -1"),
    ],
)
def test_wrong_flags(argv, message, tmp_path, capsys):
    if argv and "hours" in argv[0]:
        argv = [f"--samples={_samples(tmp_path)}", *argv]
    assert prepare.main(argv) == 1
    assert message in capsys.readouterr().err
