"""The console commands of an installed project: cerberus-train is `python -m experiments.run`.

An installation without extras has what separating a song takes. Where a command needs more, it says
in one line what to install.
"""

import sys
from functools import partial
from importlib import import_module

from experiments.runtime.huge_pages import restart_with_huge_pages

_OWN = ("cerberus_jax", "data_pipeline", "experiments")
_SYNTHESISER = "tinysoundfont"  # its dependency pyaudio, not used here, has no wheel


def _run(module: str, *, huge_pages: bool = False) -> int:
    """Call a module's `main`; returns its exit code, or 1 where a package is missing."""
    if huge_pages:
        restart_with_huge_pages()
    try:
        return import_module(module).main()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", *_OWN):
            raise
        remedy = "pip install '.[train]' in the project's folder"
        if package == _SYNTHESISER:
            remedy = f"pip install --no-deps {_SYNTHESISER}"
        print(f"error: {package} is not installed; {remedy}", file=sys.stderr)
        return 1


train = partial(_run, "experiments.run", huge_pages=True)
sweep = partial(_run, "experiments.sweep", huge_pages=True)
demo = partial(_run, "experiments.demo", huge_pages=True)
evaluate = partial(_run, "experiments.evaluate")
separate = partial(_run, "experiments.separate")
report = partial(_run, "experiments.report")
import_torch = partial(_run, "experiments.import_torch")
prepare = partial(_run, "data_pipeline.prepare")
minislakh = partial(_run, "data_pipeline.minislakh.__main__")
inspect = partial(_run, "data_pipeline.inspect")
excerpts = partial(_run, "data_pipeline.excerpts")
