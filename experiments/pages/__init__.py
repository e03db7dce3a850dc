"""HTML pages put together from the files beside this one; each page is one file without links.

Templates mark what goes in by {{name}}; scripts and styles are written into the page.
"""

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its places filled.

    Raises:
        ValueError: on a place without a value or a value without a place.
    """
    text = (FOLDER / template).read_text(encoding="utf-8")
    places = set(re.findall(r"\{\{(\w+)\}\}", text))
    if places != set(values):
        raise ValueError(
            f"{template}: values for {', '.join(sorted(places))} expected, "
            f"got {', '.join(sorted(values))}"
        )
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def asset(name: str) -> str:
    """The text of a script or style."""
    return (FOLDER / name).read_text(encoding="utf-8")


def json_for_html(data: object) -> str:
    """JSON without a sign that HTML would read: nothing in it opens or ends an element."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def escape(text: object) -> str:
    """Text for HTML."""
    return html.escape(str(text))
