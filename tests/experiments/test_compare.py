"""Runs side by side: seeds gathered, means and intervals computed a second way, clear refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import compare
from experiments.config.loading import load_config, save_config
from experiments.evaluation.bootstrap import NUM_RESAMPLES, SEED

SONGS = ("a", "b", "b", "c")
INSTRUMENTS = ("piano", "guitar")
METRICS = tuple(compare.METRICS)


def _write(folder, values, *, seed=0, songs=SONGS, results="results.json", **fields):
    """A run with scores [excerpt instrument metric]."""
    folder.mkdir(parents=True, exist_ok=True)
    overrides = [("seed", seed), *fields.items()]
    save_config(load_config("sets/set1.py", overrides), folder)
    own = [dict(zip(METRICS, row, strict=True)) for row in values.mean(0).tolist()]
    (folder / results).write_text(
        json.dumps(
            {
                "instruments": list(INSTRUMENTS),
                "split": "test",
                "step": 8,
                "num_items": len(songs),
                "per_instrument": dict(zip(INSTRUMENTS, own, strict=True)),
                "mean": dict(zip(METRICS, values.mean((0, 1)).tolist(), strict=True)),
                "items": [
                    {
                        "id": f"{song}@{k}.0[S0]",
                        "metrics": {
                            name: dict(zip(METRICS, values[k, s].tolist(), strict=True))
                            for s, name in enumerate(INSTRUMENTS)
                        },
                    }
                    for k, song in enumerate(songs)
                ],
            }
        )
    )
    return folder


@pytest.fixture
def values():
    return np.random.default_rng(3).uniform(0.1, 0.9, (4, len(SONGS), 2, len(METRICS)))


@pytest.fixture
def runs(tmp_path, values):
    """Two seeds of one network, in the wrong order, and two of another."""
    rate = {"optimizer.learning_rate": 2e-3}
    return [
        _write(tmp_path / "own_s1", values[1], seed=1),
        _write(tmp_path / "own_s0", values[0], seed=0),
        _write(tmp_path / "fast_a", values[2], seed=0, **rate),
        _write(tmp_path / "fast_b", values[3], seed=1, **rate),
    ]


def _resampled(values, draw):
    """The mean of one bootstrap draw, item by item."""
    of_runs, of_songs = (
        np.random.default_rng([SEED, size]).multinomial(size, [1 / size] * size, NUM_RESAMPLES)
        for size in (len(values), 3)
    )
    runs = np.repeat(np.arange(len(values)), of_runs[draw])
    songs = np.repeat(["a", "b", "c"], of_songs[draw])
    items = [k for song in songs for k in range(len(SONGS)) if SONGS[k] == song]
    return values[runs][:, items].mean((0, 1))


def test_seeds_are_one_network_with_the_mean_of_them(runs, values):
    own, fast = compare.read_networks(runs)
    assert (own.name, own.seeds) == ("own_s", (0, 1))
    assert (fast.name, fast.seeds) == ("fast", (0, 1))
    assert own.mean["onset_f1"] == pytest.approx(
        values[:2].mean((0, 1, 2))[METRICS.index("onset_f1")]
    )


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_an_instrument_has_its_own_mean_and_interval(runs, values, instrument):
    slot, metric = INSTRUMENTS.index(instrument), "frame_f1"
    row = compare.of_instrument(compare.read_networks(runs)[0], instrument)
    column = values[:2, :, slot, METRICS.index(metric)]
    assert row.mean[metric] == pytest.approx(column.mean())
    draws = [_resampled(column, k) for k in range(NUM_RESAMPLES)]
    assert row.interval[metric] == pytest.approx(np.percentile(draws, [2.5, 97.5]))


def test_the_tables_say_what_the_networks_have_and_differ_by(runs, values):
    text = compare.comparison(compare.read_networks(runs))
    line = next(line for line in text.splitlines() if line.startswith("| own_s | mean | 0, 1 |"))
    column = values[..., METRICS.index("onset_f1")]
    means = [column[:2].mean(), column[2:].mean()]
    draws = [
        _resampled(column[2:].mean(-1), k) - _resampled(column[:2].mean(-1), k)
        for k in range(NUM_RESAMPLES)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    assert f"{means[0]:.2f}".removeprefix("0") in line
    difference = next(line for line in text.splitlines() if "fast minus own_s" in line)
    assert f"{means[1] - means[0]:+.2f} [{low:+.2f}, {high:+.2f}]" in difference


def test_networks_of_other_excerpts_are_no_pairs(tmp_path, values, runs):
    other = _write(
        tmp_path / "other", values[0], songs=("d", "e", "f", "g"), **{"loss.transcription": 0.5}
    )
    text = compare.comparison(compare.read_networks([runs[1], other]))
    assert "other and own_s0 are no pairs" in text
    assert "minus" not in text


def test_the_time_of_training_is_that_of_the_log(runs):
    for run, pace in zip(runs[:2], (0.5, 1.5), strict=True):
        line = {"step": 60, "loss": 1.0, "time": {"seconds_per_step": pace}}
        (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    text = compare.comparison(compare.read_networks(runs))
    assert "| own_s | mean | 0, 1 | 60 s |" in text
    assert "| fast | mean | 0, 1 | – |" in text


def test_the_command_prints_the_tables_of_any_file_of_scores(runs, values, capsys):
    for run, own in zip(runs[1:3], values[[0, 2]], strict=True):
        _write(
            run,
            own,
            results="results_test_unseen.json",
            **{"optimizer.learning_rate": 2e-3 if "fast" in run.name else 1e-3},
        )
    args = [f"--workdir={run}" for run in runs[1:3]]
    assert compare.main([*args, "--results=results_test_unseen.json"]) == 0
    assert "fast_a minus own_s0" in capsys.readouterr().out


def test_runs_of_one_name_are_told_apart(tmp_path, values, monkeypatch):
    rate = {"optimizer.learning_rate": 2e-3}
    old = _write(tmp_path / "old/demo", values[0], seed=0)
    new = _write(tmp_path / "new/demo", values[1], seed=0, **rate)
    assert [row.name for row in compare.read_networks([old, new])] == ["old/demo", "new/demo"]
    monkeypatch.chdir(new)
    assert [row.name for row in compare.read_networks([Path(".")])] == ["demo"]


def test_refusals(runs, values, tmp_path, capsys):
    assert compare.main([]) == 1
    assert "--workdir is missing" in capsys.readouterr().err
    args = [f"--workdir={run}" for run in runs]
    assert compare.main([*args, "--results=results_songs.json"]) == 1
    said = capsys.readouterr().err
    assert "results_songs.json is missing: python -m experiments.evaluate --workdir=" in said
    again = _write(tmp_path / "again", values[0], seed=0)
    assert compare.main([*args, f"--workdir={again}"]) == 1
    assert "own_s0 and" in (said := capsys.readouterr().err)
    assert "again have one config and one seed" in said
    again = _write(tmp_path / "again", values[0], seed=2, songs=("d", "e", "f", "g"))
    assert compare.main([*args, f"--workdir={again}"]) == 1
    assert "again are seeds of one network, scored on the same excerpts" in capsys.readouterr().err
    (runs[0] / "results.json").write_text("{")
    assert compare.main(args) == 1
    assert "own_s1/results.json" in capsys.readouterr().err
