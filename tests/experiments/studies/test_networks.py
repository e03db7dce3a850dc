"""The studies of a network, each once at a tiny size, on a run that was never trained."""

import json

import numpy as np
import pytest

from experiments.studies import context, decoding, levels, overfit
from tests.tiny_run import INSTRUMENTS, prepare_data, tiny_config, write_run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data):
    return write_run(tmp_path_factory.mktemp("run"), tiny_config(data))


def rows(text) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


def test_context(workdir, monkeypatch, capsys):
    monkeypatch.setattr(context, "CONTEXTS", (0.0, 0.5))
    argv = [f"--workdir={workdir}", "--num_songs=1", "--join=2", "--keep_seconds=2"]
    assert context.main(argv) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 songs, 12 s; windows keep 2 s")
    firsts = [line.split(" | ")[:2] for line in rows(out)]
    windows = [[f"| {seconds}", kind] for kind in ("window", "song") for seconds in ("0", "0.5")]
    assert firsts == [["| whole song", "song"], *windows]


def test_decoding(workdir, capsys):
    assert decoding.main([f"--workdir={workdir}"]) == 0
    out = capsys.readouterr().out
    titles = [line.split(" | ")[0] for line in rows(out)]
    assert titles[0] == "| plain, threshold 0.5" and len(titles) == 5
    assert all(f"\n{name}: DecodingConfig(" in out for name in INSTRUMENTS)


def test_overfit_learns(data, tmp_path, capsys):
    out = tmp_path / "figures.json"
    fields = {
        "instruments": ",".join(INSTRUMENTS),
        "batch_size": 4,
        "excerpt_seconds": 0.5,
        "model.layers": 1,
        "model.hidden": 16,
        "optimizer.warmup_steps": 5,
        "train.num_steps": 60,
    }
    argv = [f"--config.{name}={value}" for name, value in fields.items()]
    assert overfit.main([f"--root={data}", f"--out={out}", *argv]) == 0
    figures = json.loads(out.read_text())
    for name in overfit.LOSSES:
        assert figures["end"]["losses"][name] < figures["start"]["losses"][name]
    assert min(figures["end"]["oracle_si_sdr_improvement"]) > 5
    shown = capsys.readouterr().out
    f1 = np.mean(figures["end"]["frame_f1"])
    verdict = "ok  " if f1 >= overfit.MIN_FRAME_F1 else "MISS"
    assert f"{verdict} frame F1: {f1:.3f} (at least {overfit.MIN_FRAME_F1})" in shown
    assert f"{INSTRUMENTS[0]} | " in shown and "| mean | " in shown


def test_a_batch_that_the_splits_cannot_share(data, capsys):
    argv = [f"--root={data}", "--config.batch_size=3", "--config.instruments=piano,drums"]
    assert overfit.main(argv) == 1
    assert "batch_size: a multiple of the 4 splits" in capsys.readouterr().err


@pytest.mark.parametrize("module", [context, decoding, overfit])
def test_help(module, capsys):
    assert module.main(["--help"]) == 0
    assert module.__name__ in capsys.readouterr().out


def test_levels(workdir, capsys):
    assert levels.main([f"--workdir={workdir}", "--num_songs=1", "--instrument=piano"]) == 0
    out = capsys.readouterr().out
    assert len(rows(out)) == 4
    assert "in 40 s of dither alone" in out
    assert levels.main([f"--workdir={workdir}", "--instrument=flute"]) == 1


def test_the_inputs_of_levels():
    sources = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    np.testing.assert_array_equal(
        levels.out_of_phase(sources, [1]), [[111.0, 222.0], [91.0, 182.0]]
    )
    found = levels.dithered(np.full(1000, 0.5), 1000) * 32768
    np.testing.assert_array_equal(found, np.rint(found))
    assert np.abs(found[:1000] - 16384).max() == np.abs(found[1000:]).max() == 1
