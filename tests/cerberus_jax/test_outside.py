"""What is quoted from files is short and printable; what parsers raise becomes a refusal."""

import lzma
import tokenize
import zipfile
import zlib

import pytest

from cerberus_jax.outside import MAX_CHARACTERS, in_one_line, quoted, reason_of, refusing


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\xff\0", r"b'\xff\x00'"),
        ("a\nb", r"'a\nb'"),
        ("\ud800", r"'\ud800'"),
        ("Übung", "'Übung'"),
        (3, "3"),
        (float("nan"), "nan"),
    ],
)
def test_a_short_value_is_quoted_as_it_is(value, expected):
    assert quoted(value) == expected


@pytest.mark.parametrize("text", ["x" * 10**6, "\x1b[2J" * 500, "\u2028" * 500, "word " * 500])
def test_a_long_text_is_cut_and_printable(text):
    line = in_one_line(text)
    assert len(line) == MAX_CHARACTERS and line.endswith("...") and line.isprintable()
    assert len(quoted(text)) == MAX_CHARACTERS


def test_a_list_that_holds_itself_can_be_quoted():
    own = [1]
    own.append(own)
    assert quoted(own) == "[1, [...]]"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("too long"), "too long"),
        (KeyError("loss"), "KeyError: 'loss'"),
        (ValueError(), "ValueError"),
        (TypeError("no"), "TypeError: no"),
        (OSError(28, "No space left on device", "x"), "No space left on device"),
        (ValueError("two\nlines\t\x07"), r"two lines \x07"),
    ],
)
def test_reasons(error, reason):
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    "error",
    [
        *(zipfile.BadZipFile("no"), zlib.error("no"), lzma.LZMAError("no"), EOFError("no")),
        *(NotImplementedError("no"), RuntimeError("no"), RecursionError("no")),
        *(tokenize.TokenError("no"), SyntaxError("no"), OverflowError("no"), OSError(22, "no")),
        *(KeyError("no"), TypeError("no"), AttributeError("no"), IndexError("no")),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    ],
)
def test_what_parsers_raise_names_the_file_and_the_remedy(error):
    with (
        pytest.raises(ValueError, match=r"^dir/x: not a list of notes \(.*no'?\); try again$"),
        refusing("dir/x", "a list of notes", remedy="try again"),
    ):
        raise error


@pytest.mark.parametrize("error", [FileNotFoundError(2, "none", "x"), MemoryError(), SystemExit()])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as raised, refusing("x", "a list"):
        raise error
    assert raised.value is error
