"""JSON from outside: read strictly, and checked against the form that it should have.

Python's own reader takes NaN, numbers that no machine holds and any depth, and what uses the values
would meet that somewhere else, without the name of the file.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cerberus_jax.outside import quoted, refusing

MAX_DEPTH = 50
MAX_WHOLE = 2**63 - 1

Form = object
"""What a value should be: a type (`float`: any number), `object` (anything), a tuple of values,
`[form]` for a list, `[form, form]` for one of two items, `{str: form}` for an object with any
names, `{"name": form}` for one with these names and perhaps others, of which one as `"name?"` may
be missing, and `OrNull(form)`."""


class OrNull(NamedTuple):
    """The form of a value that may be null."""

    form: object


_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def read_json(
    path: str | os.PathLike, expected: str, form: Form = object, *, remedy: str = ""
) -> object:
    """The value in a JSON file.

    Args:
        path: the file.
        expected: what the file should be, for the message.
        form: the form of the value.
        remedy: what to do about another one, for the message.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is not JSON, or of another form.
    """
    with refusing(path, expected, remedy=remedy):
        value = parse_json(Path(path).read_bytes())
        check_form(value, form)
    return value


def parse_json(content: bytes | str, *, numbers: bool = True) -> object:
    """The value that JSON text stands for.

    Args:
        content: the text, in UTF-8 where it is bytes.
        numbers: refuse numbers that are not finite or need more than 64 bits.

    Raises:
        ValueError: if it is no JSON, deeper than MAX_DEPTH, or holds halves of characters.
        RecursionError: if it is so deep that it cannot be looked at.
    """
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    value = json.loads(text)
    level, depth = [value], 0
    while level:
        if depth >= MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        depth += 1
        for item in level:
            if isinstance(item, str):
                item.encode()
            elif numbers and isinstance(item, int | float):
                _check_number(item)
        inside = [item for item in level if isinstance(item, dict | list)]
        level = [part for item in inside for part in _parts(item)]
    return value


def _parts(container: dict | list) -> list:
    return [*container, *container.values()] if isinstance(container, dict) else container


def check_form(value: object, form: Form, name: str = "") -> None:
    """Check a value of JSON.

    Raises:
        ValueError: naming the place inside, what was expected and what came.
    """
    if form is object or (isinstance(form, OrNull) and value is None):
        return
    form = form.form if isinstance(form, OrNull) else form
    if isinstance(form, dict):
        _check_object(value, form, name)
    elif isinstance(form, list):
        if not isinstance(value, list | tuple):
            raise _other(name, _NAMES[list], value)
        if len(form) > 1 and len(value) != len(form):
            raise _other(name, f"a list of {len(form)} items", value)
        forms = form if len(form) > 1 else form * len(value)
        for index, (item, of_item) in enumerate(zip(value, forms, strict=True)):
            check_form(item, of_item, f"{name}[{index}]")
    elif isinstance(form, type):
        accepted = (int, float) if form is float else form
        if not isinstance(value, accepted) or (isinstance(value, bool) and form is not bool):
            raise _other(name, _NAMES[form], value)
    elif value not in form:
        raise _other(name, f"one of {', '.join(map(repr, form))}", value)


def _check_object(value, form, name):
    if not isinstance(value, Mapping):
        raise _other(name, _NAMES[dict], value)
    inside = f"{name}." if name else ""
    if str in form:
        for key, item in value.items():
            check_form(item, form[str], f"{inside}{key}")
        return
    for key, of_item in form.items():
        plain = key.removesuffix("?")
        if plain not in value and plain == key:
            raise ValueError(f"{inside}{plain} is missing")
        if plain in value:
            check_form(value[plain], of_item, f"{inside}{plain}")


def _check_number(number: int | float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"a finite number expected, got {number}")
    if isinstance(number, int) and abs(number) > MAX_WHOLE:
        raise ValueError("a number of at most 64 bits expected, got a larger one")


def _other(name, expected, value) -> ValueError:
    where = f"{name}: " if name else ""
    return ValueError(f"{where}{expected} expected, got {quoted(value)}")
