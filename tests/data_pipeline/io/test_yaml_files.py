"""YAML from outside: depth is bounded, damage names the file."""

import pytest

from data_pipeline.io.yaml_files import MAX_DEPTH, read_yaml


def test_a_value_comes_back(tmp_path):
    (tmp_path / "x.yaml").write_text("stems: {S00: {is_drum: no}}\nnames: [a, b]\n")
    found = {"stems": {"S00": {"is_drum": False}}, "names": ["a", "b"]}
    assert read_yaml(tmp_path / "x.yaml", "metadata", {"stems": {}}) == found


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,  # libyaml's stack overflows
        b"- " * 200_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"a: [",
        b"a: b: c",
        b"\xff\xfe",
        b"\0",
        b"2001-01-01 00:00:00 +99999:00",
        b"? [a]\n: 1\n? {}\n",
        b"!!python/object/apply:os.getcwd []",
        b"*a",
        b"stems: 3",
        b"",
    ],
)
def test_what_is_something_else_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.yaml: not metadata \(") as error:
        read_yaml(tmp_path / "x.yaml", "metadata", {"stems": {}})
    assert str(error.value).isprintable() and len(str(error.value)) < 300
