"""Rows, intervals and differences of a sweep, and its table and page."""

import csv
import json

import numpy as np
import pytest

from experiments.config.loading import build_config, flatten, load_config
from experiments.evaluation.bootstrap import NUM_RESAMPLES, SEED, interval_95, resampled_means
from experiments.evaluation.paper_tables import paper_means
from experiments.sweeps.page import curves_of, page_html
from experiments.sweeps.points import load_points
from experiments.sweeps.results import METRICS, Outcome, rows_of
from experiments.sweeps.table import STARRED, markdown, table, write_tables
from tests import ROOT

POINTS = load_points("loss_weights*seeds=2", "sets/set1.py")
CONFIGS = dict(POINTS)
SONGS = ["a", "a", "b", "c", "c", "c"]
INSTRUMENTS = ("piano", "guitar")


def _results(*, seed=0, shift=0.0, assignment="network"):
    """Scores of six excerpts of three songs."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 0.8, (len(SONGS), len(INSTRUMENTS), len(METRICS))) + shift
    items = [
        {
            "id": f"{song}@{k}.0[S0]",
            "metrics": {
                name: dict(zip(METRICS, values[k, s].tolist(), strict=True))
                for s, name in enumerate(INSTRUMENTS)
            },
        }
        for k, song in enumerate(SONGS)
    ]
    mean = dict(zip(METRICS, values.mean((0, 1)).tolist(), strict=True))
    return {
        "instruments": list(INSTRUMENTS),
        "items": items,
        "mean": mean,
        "assignment": assignment,
    }


def _outcome(name, **options):
    return Outcome(name, CONFIGS[name], _results(**options))


def _pair(name, **options):
    return [_outcome(f"{name}__seed_{k}", seed=k, **options) for k in range(2)]


def test_resampled_means_are_those_of_drawn_runs_and_songs():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((2, 6, 2, 3))
    values[0, 1, 0, 0] = values[:, :, 1, 2] = np.nan
    draws = [
        np.random.default_rng([SEED, size]).multinomial(size, [1 / size] * size, NUM_RESAMPLES)
        for size in (2, 3)
    ]
    means = resampled_means(values, SONGS)
    for k in (0, 7, 99):
        runs = np.repeat(np.arange(2), draws[0][k])
        songs = np.repeat(["a", "b", "c"], draws[1][k])
        items = [i for song in songs for i in range(6) if SONGS[i] == song]
        drawn = values[runs][:, items].reshape(-1, 2, 3)
        expected = [
            np.nanmean([np.nanmean(drawn[:, s, m]) for s in range(2) if m < 2 or s == 0])
            for m in range(3)
        ]
        np.testing.assert_allclose(means[k], expected, atol=1e-12)


def test_one_song_has_no_interval():
    assert np.isnan(resampled_means(np.ones((2, 6, 2, 3)), ["a"] * 6)).all()


def test_points_that_differ_in_nothing_but_seeds_are_named_so():
    """A part that both names have in another place is not what they have in common."""
    config = load_config("sets/set1.py")
    seeded = [build_config(flatten(config) | {"seed": k}) for k in (0, 1)]
    results = {"mean": {}, "items": [], "instruments": []}
    for names, expected in (
        (("seed_0", "seed_1"), "all seeds"),
        (("seed_0__seed_0", "seed_1__seed_0"), "seed_0"),
        (("a__seed_0", "seed_0__a"), "all seeds"),
        (("seed_0",), "seed_0"),
    ):
        outcomes = [Outcome(n, c, results) for n, c in zip(names, seeded, strict=False)]
        assert [row.name for row in rows_of(outcomes)] == [expected]


def test_points_that_differ_in_their_seed_are_one_row():
    rows = rows_of([*_pair("mask_inference"), *_pair("cerberus")])
    assert [(row.name, row.seeds) for row in rows] == [
        ("mask_inference", (0, 1)),
        ("cerberus", (0, 1)),
    ]
    results = [_results(seed=k) for k in range(2)]
    expected = np.mean([own["mean"]["si_sdr"] for own in results])
    assert rows[0].mean["si_sdr"] == pytest.approx(expected)
    assert rows[0].mean["onset_f1"] is None and rows[0].interval["onset_f1"] is None
    low, high = rows[1].interval["onset_f1"]
    assert low < rows[1].mean["onset_f1"] < high


def test_differences_are_paired():
    """A constant shift has no spread at all; what one row lacks is not compared."""
    rows = rows_of([*_pair("chimera", shift=-0.1), *_pair("cerberus")])
    means, intervals = rows[1].minus(rows[0])
    assert means["si_sdr"] == pytest.approx(0.1)
    np.testing.assert_allclose(intervals["si_sdr"], [0.1, 0.1])
    assert "onset_f1" not in means and intervals["onset_f1"] is None
    assert "| cerberus minus chimera | +0.1 [+0.1, +0.1] |" in markdown(rows)


def test_rows_of_other_excerpts_are_not_compared():
    rows = rows_of([_outcome("chimera__seed_0"), _outcome("cerberus__seed_0")])
    rows[0].outcomes[0].results["items"][0]["id"] = "z@0.0[S0]"
    assert rows[1].minus(rows[0]) is None
    assert "Paired" not in markdown(rows)


def test_the_interval_of_one_seed_is_that_of_its_songs():
    (row,) = rows_of([_outcome("cerberus__seed_1", seed=5)])
    values = np.array(
        [
            [list(i["metrics"][n].values()) for n in INSTRUMENTS]
            for i in row.outcomes[0].results["items"]
        ]
    )
    ends = interval_95(resampled_means(values[None], SONGS))
    np.testing.assert_allclose(row.interval["si_sdr"], ends[:, METRICS.index("si_sdr")])
    assert row.name == "cerberus__seed_1"


def test_the_table_leaves_absent_heads_blank_and_says_what_is_theirs():
    rows = rows_of([_outcome(f"{name}__seed_0") for name in ("mask_inference", "transcription")])
    headings, cells = table(rows)
    assert headings[:6] == ["network", "seeds", "wDC", "wMI", "wTR", "SI-SDR"]
    assert cells[0][:5] == ["mask inference  seed 0", "1", "", "1", ""]
    assert cells[0][5] and cells[0][8:11] == [""] * 3
    assert cells[1][0] == "95 %" and cells[1][5].startswith("[")
    assert cells[2][:8] == ["*theirs*", "", "", "", "", "10.0", "16.9", "11.9"]
    assert cells[5][5:] == ["", "", "", ".90/.83/.85", ".77/.70/.71", ".48/.43/.44", ""]


def test_what_is_not_scored_is_a_dash_and_clusters_are_starred():
    name = "deep_clustering__seed_0"
    results = _results(assignment="oracle")
    rows = rows_of([Outcome(name, CONFIGS[name], results)])
    text = markdown(rows)
    assert "deep clustering  seed 0\\*" in text and STARRED in text
    results = {"mean": {"si_sdr": None}, "assignment": "network"}
    rows = rows_of([Outcome(name, CONFIGS[name], results)])
    assert table(rows)[1][0].count("–") == 4 and STARRED not in markdown(rows)


def test_the_authors_results_are_those_of_the_page_about_them():
    """docs/paper.md has the same tables."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/paper.md").read_text().splitlines()
        if line.startswith("|")
    ]
    heads = [line for line in lines if len(line) == 10 and line[0] not in ("network", "---")]
    assert len(heads) == 7
    names = ("deep_clustering", "mask_inference", "transcription")
    for _, *weights, sdr, sir, sar, _, onset, _ in heads:
        present = [name for name, weight in zip(names, weights, strict=True) if weight]
        means = paper_means(INSTRUMENTS, present)
        decibels = [means[metric] for metric in ("si_sdr", "si_sir", "si_sar")]
        assert decibels == ([float(v) for v in (sdr, sir, sar)] if sdr else [None] * 3)
        notes = [means[f"onset_{part}"] for part in ("precision", "recall", "f1")]
        assert notes == ([float(v) for v in onset.split("/")] if onset else [None] * 3)
    sets, number = {}, ""
    for line in lines:
        if len(line) == 8 and line[2].replace(".", "").isdecimal():
            number = line[0] or number
            sets.setdefault(number, {})[line[1]] = line
    assert [len(rows) for rows in sets.values()] == [3, 4, 5]
    for rows in sets.values():
        means = paper_means(tuple(rows), names)
        assert means["si_sdr"] == pytest.approx(np.mean([float(r[2]) for r in rows.values()]))
        f1 = [float(row[7].split("/")[2]) for row in rows.values() if row[7]]
        assert means["onset_offset_f1"] == pytest.approx(np.mean(f1))
    assert paper_means(("piano", "drums"), names) is None
    assert paper_means(INSTRUMENTS, ("onsets",)) is None


def test_sets_of_instruments_stand_beside_the_authors():
    """All four: what the authors say of two instruments and of more lies in two places."""
    points = load_points("instrument_sets", "sets/set1.py")
    outcomes = [Outcome(name, config, _results()) for name, config in points]
    _, cells = table(rows_of(outcomes))
    theirs = [row for row in cells if row[0] == "*theirs*"]
    assert [row[5] for row in theirs] == ["10.0", "8.2", "7.7", "5.5"]
    assert [row[-1] for row in theirs] == [""] * 4


def test_csv_has_a_line_for_each_point_and_one_for_the_mean(tmp_path):
    outcomes = _pair("cerberus")
    write_tables(outcomes, tmp_path)
    lines = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert [line["seed"] for line in lines] == ["0", "1", "mean"]
    each = [float(line["onset_f1"]) for line in lines]
    assert each[2] == pytest.approx((each[0] + each[1]) / 2)
    assert float(lines[2]["onset_f1_low"]) < each[2] < float(lines[2]["onset_f1_high"])
    assert lines[0]["onset_f1_low"] == "" and lines[0]["network"] == "cerberus"


def test_the_page_lays_the_curves_over_one_another(tmp_path):
    outcomes = [*_pair("mask_inference"), *_pair("cerberus")]
    for k, own in enumerate(outcomes):
        (tmp_path / own.name).mkdir()
        lines = [{"step": step, "validation_loss": step + k} for step in (5, 10)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / own.name / "metrics.jsonl").write_text(text)
    apart = Outcome("chimera__seed_0", CONFIGS["chimera__seed_0"], None, "loss <not> finite")
    assert curves_of(rows_of(outcomes), tmp_path) == {
        "loss": {"mask_inference": [(5, 5.5), (10, 10.5)], "cerberus": [(5, 7.5), (10, 12.5)]}
    }
    page = page_html([*outcomes, apart], tmp_path)
    assert '"runs":["mask_inference","cerberus"]' in page and "loss &lt;not&gt; finite" in page
    assert "cerberus minus mask inference" in page and "theirs" in page
