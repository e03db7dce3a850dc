"""YAML from outside, no deeper than libyaml can bear: it crashes at some ten thousand levels."""

import os
from pathlib import Path

import yaml

from cerberus_jax.json_files import Form, check_form
from cerberus_jax.outside import refusing

MAX_DEPTH = 50
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: str | os.PathLike, expected: str, form: Form = object) -> object:
    """The value in a YAML file.

    Args:
        path: the file.
        expected: what it should be, for the message.
        form: the form of the value.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is not YAML, too deep, or of another form.
    """
    with refusing(path, expected):
        try:
            content = Path(path).read_bytes()
            _check_depth(content)
            value = yaml.load(content, Loader=_LOADER)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
        check_form(value, form)
        return value


def _check_depth(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
