"""The flags of the study of levels."""

from types import SimpleNamespace

from experiments.studies import levels


def test_an_instrument_that_the_network_does_not_know(monkeypatch, capsys):
    network = SimpleNamespace(instruments=("piano", "drums"))
    monkeypatch.setattr(levels, "load_run_config", lambda workdir: None)
    monkeypatch.setattr(levels, "Predictor", SimpleNamespace(load=lambda *_, **__: network))
    monkeypatch.setattr(levels.data, "song_plan", lambda *_: ())
    monkeypatch.setattr(levels, "whole_songs", lambda: iter(()))
    assert levels.main(["--workdir=run", "--instrument=flute"]) == 1
    assert "--instrument=flute: one of piano, drums expected" in capsys.readouterr().err
