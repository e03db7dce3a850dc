"""JSON from outside: strict, and of the form that is asked for; what is wrong is named."""

import json

import pytest

from cerberus_jax.json_files import MAX_DEPTH, OrNull, check_form, parse_json, read_json

FORM = {"name": str, "steps": [int], "gains?": {str: float}, "pair?": [str, int], "kind?": ("a",)}


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -(2**63) + 1, 0.1, "Ω", [], {}, {"a": [1, {"b": None}]}, [[0.5]] * 3],
)
def test_a_value_comes_back(value, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "x.json", "a value") == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b"\xff{}", "'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, "RecursionError"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested deeper than 50 levels"),
        (b"[NaN]", "a finite number expected, got nan"),
        (b"[-Infinity]", "a finite number expected, got -inf"),
        (b"[1e999]", "a finite number expected, got inf"),
        (b"[1" + b"0" * 400 + b"]", "at most 64 bits"),
        (b"1" * 5000, "limit"),
        (rb'["\ud800"]', "surrogates not allowed"),
        (rb'{"\ud800": 1}', "surrogates not allowed"),
    ],
)
def test_what_is_no_strict_json_is_refused(content, reason, tmp_path):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json: not a list \(") as error:
        read_json(tmp_path / "x.json", "a list")
    assert reason in str(error.value) and len(str(error.value)) < 300


def test_numbers_may_be_left_alone():
    assert parse_json("[1e999]", numbers=False) == [float("inf")]


def test_the_deepest_value_that_is_read():
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: text expected, got 3"),
        ({"steps": [1, True]}, r"steps\[1\]: a whole number expected, got True"),
        ({"steps": [1, 2.0]}, r"steps\[1\]: a whole number expected, got 2.0"),
        ({"steps": {}}, "steps: a list expected, got {}"),
        ({"gains": {"piano": "1"}}, r"gains\.piano: a number expected, got '1'"),
        ({"gains": []}, r"gains: an object expected, got \[\]"),
        ({"pair": None}, "pair: a list expected, got None"),
        ({"pair": ["a", 1, 2]}, "pair: a list of 2 items expected"),
        ({"pair": ["a", "b"]}, r"pair\[1\]: a whole number expected"),
        ({"kind": "b"}, "kind: one of 'a' expected, got 'b'"),
        ({"kind": []}, r"kind: one of 'a' expected, got \[\]"),
        ({"name": "x" * 1000, "steps": "y" * 1000}, r"steps: a list expected, got 'y+\.\.\.$"),
    ],
)
def test_another_form_is_refused_with_its_place(change, message):
    with pytest.raises(ValueError, match=message):
        check_form({"name": "a", "steps": []} | change, FORM)


def test_right_forms():
    check_form({"name": "a", "steps": [], "more": 1}, FORM)
    check_form({"name": "a", "steps": [3], "gains": {"x": 1, "y": 0.5}, "kind": "a"}, FORM)
    check_form([None, 3], [OrNull(float)])
    with pytest.raises(ValueError, match=r"^steps is missing"):
        check_form({"name": "a"}, FORM)
    with pytest.raises(ValueError, match="an object expected, got 3"):
        check_form(3, FORM)
    with pytest.raises(ValueError, match=r"\[1\]: a number expected, got 'x'"):
        check_form([None, "x"], [OrNull(float)])


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_json(tmp_path / "none.json", "a value")
