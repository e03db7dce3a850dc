"""The log of a run: what is written, read back, refused, and dropped on resuming."""

import json

import numpy as np
import pytest

from experiments.training.metric_log import MetricLog, read_metrics


def _write(workdir, steps, *, start_step=0):
    with MetricLog(workdir, start_step=start_step) as log:
        for step in steps:
            log.write(step, {"loss": 1 / step, "note": "a"})


def test_round_trip_of_plain_and_array_numbers(tmp_path):
    with MetricLog(tmp_path) as log:
        log.write(1, {"loss": np.float32(0.5), "count": np.int64(3)})
        assert read_metrics(tmp_path) == [{"step": 1, "loss": 0.5, "count": 3}]  # flushed


def test_a_resumed_file_equals_an_uninterrupted_one(tmp_path):
    _write(tmp_path / "whole", range(1, 9))
    _write(tmp_path / "parts", range(1, 7))
    _write(tmp_path / "parts", range(5, 9), start_step=4)
    whole = (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert (tmp_path / "parts" / "metrics.jsonl").read_bytes() == whole
    assert len(list((tmp_path / "parts").iterdir())) == 1


def test_a_new_start_drops_what_came_before_the_first_checkpoint(tmp_path):
    _write(tmp_path, [1, 2])
    _write(tmp_path, [1])
    assert [entry["step"] for entry in read_metrics(tmp_path)] == [1]


def test_the_line_of_an_earlier_end_goes_when_the_run_goes_on(tmp_path):
    _write(tmp_path, [5])
    with MetricLog(tmp_path, start_step=5) as log:
        log.write(7, {"loss": 1.0, "off_schedule": ["loss"], "time": {"seconds_per_step": 0.1}})
    assert len(read_metrics(tmp_path)) == 2
    _write(tmp_path, [10], start_step=7)
    assert [entry["step"] for entry in read_metrics(tmp_path)] == [5, 10]


def test_values_of_an_earlier_end_go_and_the_others_of_their_line_stay(tmp_path):
    with MetricLog(tmp_path) as log:
        log.write(5, {"loss": 1.0, "validation_loss": 2.0, "off_schedule": ["validation_loss"]})
    MetricLog(tmp_path, start_step=5).close()
    assert read_metrics(tmp_path) == [{"step": 5, "loss": 1.0}]


def test_a_last_line_cut_short_is_left_out(tmp_path):
    _write(tmp_path, [1, 2])
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-5])
    assert [entry["step"] for entry in read_metrics(tmp_path)] == [1]


@pytest.mark.parametrize("line", ["no json", "3", '{"loss": 1}', "null"])
def test_a_broken_line_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl: line 2 is no log entry"):
        read_metrics(tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\0" * 300, "can't decode byte 0xff"),
        (b"[" * 100_000, "RecursionError"),
        (b'{"step": 2, "off_schedule": 3}', "off_schedule: a list expected, got 3"),
        (b'{"step": 1' + b"0" * 400 + b"}", "at most 64 bits"),
        (b'{"step": 2, "loss": NaN}', "a finite number expected"),
        (b'{"step": "' + b"x" * 5000 + b'"}', "step: a whole number expected, got 'xxx"),
    ],
)
def test_a_damaged_line_is_one_short_line(tmp_path, line, reason):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2 is no log entry") as error:
        read_metrics(tmp_path)
    message = str(error.value).replace(str(tmp_path), "")
    assert reason in message and message.isprintable() and len(message) < 300


def test_separators_of_lines_inside_of_text_are_text(tmp_path):
    text = '{"step": 1, "note": "a\u2028b\x85c"}\n'
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    assert read_metrics(tmp_path) == [{"step": 1, "note": "a\u2028b\x85c"}]


@pytest.mark.parametrize("value", [float("nan"), np.float32(np.inf)])
def test_a_value_that_is_not_finite_is_refused_and_not_written(tmp_path, value):
    with MetricLog(tmp_path) as log:
        log.write(1, {"loss": 1.0})
        with pytest.raises(ValueError, match=r"loss must be finite, got (nan|inf) at step 2"):
            log.write(2, {"loss": value})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "loss": 1.0}


def test_steps_must_rise(tmp_path):
    with MetricLog(tmp_path) as log:
        log.write(2, {})
        with pytest.raises(ValueError, match="steps must rise, got 2 after step 2"):
            log.write(2, {})


def test_no_file_is_no_entries(tmp_path):
    assert read_metrics(tmp_path) == []
