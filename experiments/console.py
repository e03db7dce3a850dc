"""The console commands of an installed project: cerberus-train is `python -m experiments.run`.

An installation without extras has what separating a song takes. Where a command needs more, it says
in one line what to install.
"""

import sys
from functools import partial
from importlib import import_module

from data_pipeline.cli.missing import explanation
from experiments.runtime.huge_pages import restart_with_huge_pages


def _run(module: str, *, huge_pages: bool = False) -> int:
    """Call a module's `main`; returns its exit code, or 1 where a package is missing."""
    if huge_pages:
        restart_with_huge_pages()
    try:
        return import_module(module).main()
    except ModuleNotFoundError as error:
        line = explanation(error)
        if not line:
            raise
        print(line, file=sys.stderr)
        return 1


train = partial(_run, "experiments.run", huge_pages=True)
sweep = partial(_run, "experiments.sweep", huge_pages=True)
demo = partial(_run, "experiments.demo", huge_pages=True)
evaluate = partial(_run, "experiments.evaluate")
separate = partial(_run, "experiments.separate")
report = partial(_run, "experiments.report")
compare = partial(_run, "experiments.compare")
export = partial(_run, "experiments.export")
import_torch = partial(_run, "experiments.import_torch")
prepare = partial(_run, "data_pipeline.prepare")
minislakh = partial(_run, "data_pipeline.minislakh.__main__")
inspect = partial(_run, "data_pipeline.inspect")
excerpts = partial(_run, "data_pipeline.excerpts")
