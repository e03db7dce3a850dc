"""The printed table: what stands where."""

import json

import pytest

from experiments.evaluation.result_table import (
    COUNTED_NOTES,
    read_results,
    results_file,
    results_markdown,
    results_table,
)
from experiments.evaluation.scoring import METRICS


def block(**values):
    """The scores of one system, the same for both instruments."""
    scores = dict.fromkeys(METRICS) | values
    return {
        "num_items": 7,
        "per_instrument": {"piano": scores, "drums": scores},
        "mean": scores,
        "baselines": {},
    }


def results():
    frames = {"frame_precision": 0.5, "frame_recall": 0.25, "frame_f1": 1 / 3}
    return block(si_sdr=1.26, **frames) | {
        "instruments": ["piano", "drums"],
        "split": "test",
        "step": 12,
        "excerpt_seconds": 10.0,
        "baselines": {"mixture": block(si_sdr=-6.0), "oracle_mask": block(si_sdr=7.0)},
        "splits": {"test_unseen": block(si_sdr=0.5) | {"baselines": {"mixture": block()}}},
    }


def test_every_system_has_a_block_with_a_row_per_instrument():
    lines = results_table(results()).splitlines()
    titles = [line for line in lines if line and not line.startswith((" ", "95 %", COUNTED_NOTES))]
    assert titles == [
        "this network (test, 7 excerpts of 10 s, step 12)",
        "mixture, unprocessed",
        "oracle: phase-sensitive mask, decoded reference roll",
        "this network (test_unseen, 7 excerpts)",
        "mixture, unprocessed (test_unseen)",
    ]
    start = lines.index(titles[0]) + 1
    assert [line.split()[0] for line in lines[start : start + 3]] == ["piano", "drums", "mean"]


def test_cells_stand_under_their_titles():
    lines = results_table(results()).splitlines()
    header, row = lines[0], next(line for line in lines if line.startswith("  piano"))
    for title, text in (("SI-SDR", "1.3"), ("frame P/R/F1", ".50/.25/.33")):
        end = header.index(title) + len(title)
        assert row[:end].endswith(text)
    assert len(row) == end  # the scores that are null are blank


def test_intervals_stand_under_the_rows_of_the_network():
    ends = {metric: [0.1, 0.9] for metric in METRICS}
    changed = results() | {
        "items": [],
        "interval_95": {"per_instrument": {"piano": ends, "drums": ends}, "mean": ends},
    }
    lines = results_table(changed).splitlines()
    assert lines[4].split()[:4] == ["95", "%", "[0.1,", "0.9]"]
    assert "[.10, .90]" in lines[4]
    assert sum("[0.1, 0.9]" in line for line in lines) == 3


def test_markdown_has_a_table_per_system():
    text = results_markdown(results())
    tables = [line for line in text.splitlines() if line.startswith("|---")]
    assert len(tables) == 5
    assert "**this network (test, 7 excerpts of 10 s, step 12)**" in text
    assert "| piano | 1.3 |  |  | .50/.25/.33 |  |  |  |" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_clusters_are_marked_as_assigned_by_the_reference():
    changed = results() | {"assignment": "oracle"}
    for text in (results_table(changed), results_markdown(changed)):
        assert "this network* (test, 7 excerpts" in text
        assert "(oracle assignment)" in text
    assert "oracle assignment" not in results_table(results())


def test_songs_and_files_are_named():
    changed = results() | {"unit": "songs", "excerpt_seconds": None, "step": None}
    assert "these estimates (test, 7 songs)" in results_table(changed)


def test_tables_of_excerpts_say_which_notes_count():
    assert COUNTED_NOTES in results_table(results())
    assert COUNTED_NOTES not in results_table(results() | {"unit": "songs"})


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ({}, "results.json"),
        ({"songs": True}, "results_songs.json"),
        ({"split": "validation"}, "results_validation.json"),
        ({"split": "validation", "songs": True}, "results_songs_validation.json"),
        ({"excerpts": "lists/hard.json"}, "results_of_hard.json"),
        ({"split": "validation", "excerpts": "own.json"}, "results_validation_of_own.json"),
    ],
)
def test_scores_of_different_things_have_files_of_their_own(what, name):
    assert results_file(**what) == name


def test_scores_that_lack_an_instrument_are_refused(tmp_path):
    path = tmp_path / "results.json"
    assert read_results_of(path, results())["step"] == 12
    message = r"results\.json: .*no scores of 'bass'.*evaluate the run again"
    with pytest.raises(ValueError, match=message):
        read_results_of(path, results() | {"instruments": ["piano", "bass"]})


def read_results_of(path, content):
    path.write_text(json.dumps(content))
    return read_results(path)
