"""Faults inside the process of a run, and of its surroundings: reader, memory, clock, locale."""

import subprocess
from collections.abc import Iterator

import numpy as np

from experiments.studies.faults.injection import Injection, expect, expect_refusal
from experiments.studies.faults.trial import Trial

# The batch of step 40 cannot be read.
_DEAD_READER = """
from data_pipeline.planning.planner import Planner
plan = Planner.batches
def batches(self, steps, **options):
    if 40 in steps:
        raise OSError(5, "Input/output error", "stems.pcm")
    return plan(self, steps, **options)
Planner.batches = batches
"""
# The clock goes back by an hour whenever it has been asked twenty times.
_CLOCK = """
import itertools, time
now, calls = time.time, itertools.count()
time.time = lambda: now() - 3600 * (next(calls) // 20)
"""
# Once all is there but the step, the process may have little more.
_LITTLE_MEMORY = """
import resource
from experiments.training.loop import Loop
run_steps = Loop.run
def run_limited(self, *args, **options):
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    run_steps(self, *args, **options)
Loop.run = run_limited
"""
_TOO_LARGE = {"batch_size": 1000, "excerpt_seconds": 4.0, "evaluation__excerpt_seconds": 4.0}
_LOCALES = ("de_DE", "tr_TR")  # where a comma stands before decimals; where I is not a large i


def dead_reader(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """The thread that reads batches meets an error of the disk."""
    expect_refusal(trial, trial.start(patch=_DEAD_READER), "Input/output error")
    reached, lost = trial.step, trial.step - trial.saved
    yield Injection(trial, lost, trial.recover(beyond=reached))


def out_of_memory(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """A limit on the address space, and batches that are too large for it; then smaller ones."""
    process = trial.start(patch=_LITTLE_MEMORY, **_TOO_LARGE)
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
