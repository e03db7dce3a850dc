"""Faults inside the process of a run, and of its surroundings: reader, memory, clock, locale."""

import resource
import subprocess
from collections.abc import Iterator

import numpy as np

from experiments.studies.faults.injection import Injection, expect, expect_refusal
from experiments.studies.faults.trial import Trial

# The batch of step 40 cannot be read.
_DEAD_READER = (
    "from data_pipeline.planning.planner import Planner as P; plan = P.batches; "
    "broken = lambda: (_ for _ in ()).throw(OSError(5, 'Input/output error', 'stems.pcm')); "
    "P.batches = lambda self, steps, **o: broken() if 40 in steps else plan(self, steps, **o)"
)
# Every call of the clock is up to six hours before the one before it.
_CLOCK = (
    "import itertools, time; now, calls = time.time, itertools.count(); "
    "time.time = lambda: now() - 3600 * (next(calls) % 7)"
)
_MEMORY_BYTES = 12 << 30  # of address space, of which JAX and TensorFlow reserve most
_TOO_LARGE = {"batch_size": 600, "excerpt_seconds": 10.0, "evaluation__excerpt_seconds": 10.0}
_LOCALES = ("de_DE", "tr_TR")  # where a comma stands before decimals; where I is not a large i


def dead_reader(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """The thread that reads batches meets an error of the disk."""
    expect_refusal(trial, trial.start(patch=_DEAD_READER), "Input/output error")
    reached, lost = trial.step, trial.step - trial.saved
    yield Injection(trial, lost, trial.recover(beyond=reached))


def out_of_memory(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A limit on the address space, and batches that are too large for it; then smaller ones."""
    limit = (_MEMORY_BYTES, _MEMORY_BYTES)
    process = trial.start(
        before=lambda: resource.setrlimit(resource.RLIMIT_AS, limit), **_TOO_LARGE
    )
    expect_refusal(trial, process, "loss.microbatch_size")
    trial.remove()
    yield Injection(trial, seconds=trial.recover(beyond=0))


def clock(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """The clock jumps back again and again, before and after a kill."""
    trial.kill(trial.start_and_reach(45, patch=_CLOCK))
    lost = trial.step - trial.saved
    code, said = trial.run(patch=_CLOCK)
    expect(trial, code == 0, said)
    yield Injection(trial, lost)


def locale(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A run under each locale; those that the system can make are made for it."""
    folder = trial.workdir.with_name("locales")
    folder.mkdir(exist_ok=True)
    settings = {"ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}}
    for name in _LOCALES:
        target = str(folder / f"{name}.UTF-8")
        subprocess.run(["localedef", "-i", name, "-f", "UTF-8", target], check=True)
        settings[name] = {"LC_ALL": f"{name}.UTF-8", "LOCPATH": str(folder)}
    for name, environment in settings.items():
        run = Trial(trial.workdir.with_name(f"locale-{name}"), trial.data_root)
        run.remove()
        code, said = run.run(environment=environment)
        expect(run, code == 0, said)
        yield Injection(run, title=f"locale {name}")
