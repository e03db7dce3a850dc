"""MiniSlakh: songs composed by code, rendered into a tree of exactly Slakh's shape.

`build` and `compose` are resolved on first use, so that importing a submodule loads no synthesizer.
"""

_HOMES = {"build": "tree", "compose": "composer"}

__all__ = ["build", "compose"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
