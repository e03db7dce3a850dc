"""Mutations that keep a file's outer form, so that what lies inside is reached too."""

import io
import json
import random
import zipfile
from collections.abc import Callable

ODD_VALUES = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e300, 10**400, 2**31, 2**63, 2**64),
    *("", "nan", "\0", "\ud800", "x" * 400, "__class__", [], {}, [[]], [None], {"": None}),
    *(float("nan"), float("inf"), -float("inf")),
)
Change = Callable[[bytes, int], bytes]


def mutate_json(data: bytes, max_size: int, rng: random.Random, change: Change) -> bytes:
    """One value of a JSON file replaced, removed or copied; as often its bytes changed anyhow."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return change(data, max_size)
    places = _places(value)
    if not places or rng.random() < 0.4:
        return change(data, max_size)
    parent, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.15:
        del parent[key]
    elif kind < 0.3 and isinstance(parent, dict):
        parent[rng.choice(["__class__", "items", "_fields", key + "x", ""])] = parent[key]
    elif kind < 0.4:
        other, other_key = rng.choice(places)
        parent[key] = json.loads(json.dumps(other[other_key]))
    else:
        parent[key] = rng.choice(ODD_VALUES)
    return json.dumps(value).encode()[:max_size]


def _places(value) -> list[tuple]:
    """(container, key or index) of everything inside."""
    places, waiting = [], [value] if isinstance(value, dict | list) else []
    while waiting and len(places) < 10_000:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        places += [(inside, key) for key in keys]
        waiting += [inside[key] for key in keys if isinstance(inside[key], dict | list)]
    return places


def mutate_zip(data: bytes, max_size: int, rng: random.Random, change: Change) -> bytes:
    """The bytes of one member of a zip archive changed, with a right checksum."""
    if rng.random() < 0.2:
        return change(data, max_size)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # a damaged archive fails in many ways, and is mutated as it is
        return change(data, max_size)
    if not members:
        return change(data, max_size)
    name = rng.choice(sorted(members))
    kind = rng.random()
    if kind < 0.1:
        del members[name]
    elif kind < 0.2:
        members[name] = members[rng.choice(sorted(members))]
    else:
        members[name] = change(members[name], len(members[name]) + 64)
    encoded = io.BytesIO()
    with zipfile.ZipFile(encoded, "w", rng.choice([0, 0, 0, 8, 12, 14])) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return encoded.getvalue()[:max_size]
