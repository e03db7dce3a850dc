"""The benchmark of rendering, once at a tiny size."""

import json

import pytest

from experiments.benchmarks import rendering


def test_every_kind_of_song_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "SONG_SECONDS", 1.0)
    out = tmp_path / "figures.json"
    assert rendering.main(["--num_songs=1", f"--out={out}"]) == 0
    result = json.loads(out.read_text())
    rows = result["rows"]
    kinds = [(row["kind"], row["effects"]) for row in rows]
    assert kinds == [("narrow", "no"), ("wide", "no"), ("wide", "yes")]
    for row in rows:
        assert row["rate"] == pytest.approx(row["stems"] / row["seconds"])
    assert rows[0]["stems"] > 0 < rows[1]["stems"] == rows[2]["stems"]
    ratio = rows[2]["seconds"] / rows[1]["seconds"]
    assert f"takes {ratio:.2f} times the CPU time of one without" in result["notes"][0]


def test_a_soundfont_that_there_is_not(capsys):
    assert rendering.main(["--num_songs=1", "--soundfont=/no.sf2"]) == 1
    assert "soundfont: expected an .sf2 or .sf3 file, /no.sf2 is none" in capsys.readouterr().err
