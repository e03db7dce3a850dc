"""Signals to a run: kills at random moments, and those that ask it to end."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import numpy as np

from experiments.studies.faults.injection import Injection, expect
from experiments.studies.faults.trial import STEPS, Trial

_REPETITIONS = 3
_SECONDS_BETWEEN_SIGNALS = 0.05
_SECONDS_BETWEEN_LOOKS = 0.02


def kills(
    trial: Trial, rng: np.random.Generator, *, count: int, seconds: float
) -> Iterator[Injection]:
    """SIGKILL for the whole group of processes, at random moments. A run is killed again and again;
    once it reaches its end before that, another one begins.

    Args:
        trial: beside it the runs are made.
        rng: of the moments.
        count: how many kills.
        seconds: that an undisturbed run takes.
    """
    done, number = 0, 0
    while done < count:
        run = Trial(trial.workdir.with_name(f"{trial.workdir.name}-{number}"), trial.data_root)
        run.remove()
        number, phases, losses, waits = number + 1, [], [], []
        while done < count:
            phase, wait = _killed(run, rng, seconds)
            waits.append(wait)
            if phase is None:
                break
            phases.append(phase)
            losses.append(run.step - run.saved)
            done += 1
        code, said = run.run()
        expect(run, code == 0, said)
        for phase, lost, wait in zip(phases, losses, [*waits[1:], None], strict=False):
            yield Injection(run, lost, wait, f"SIGKILL to the whole group {phase}")


def _killed(run: Trial, rng: np.random.Generator, seconds: float) -> tuple[str | None, float]:
    """What a new start was doing when it was killed, None if it ended before; and the seconds until
    it was beyond the step that had been reached, None if it never was.

    Half of the moments are drawn by the clock, the others shortly after a random step.
    """
    before, began, beyond = run.step, time.monotonic(), None
    process = run.start()
    until = began + rng.uniform(0, seconds) if rng.uniform() < 0.5 else None
    step, delay = rng.integers(before + 1, max(STEPS, before + 1) + 1), rng.uniform(0, 0.3)
    while process.poll() is None:
        now, reached = time.monotonic(), run.step
        if beyond is None and reached > before:
            beyond = now - began
        if until is None and reached >= step:
            until = now + delay
        if until is not None and now >= until:
            phase = _phase(run, has_begun=reached != before)
            run.kill(process)
            return phase, beyond
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    expect(run, process.returncode == 0, run.message())
    return None, beyond


def _phase(run: Trial, *, has_begun: bool) -> str:
    """What a run is doing, as far as its directory tells."""
    if any(run.checkpoints.parent.glob("*/*.orbax-checkpoint-tmp*")):
        return "while it saved"
    if run.saved == STEPS:
        return "while it tuned"
    return "while it trained" if has_begun else "while it started"


def signals(*numbers: int) -> Callable[[Trial, np.random.Generator], Iterator[Injection]]:
    """Signals after a random step, a moment from each other; three times over one run."""

    def inject(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
        found, process = [], trial.start()
        for _ in range(_REPETITIONS):
            most = trial.step + STEPS // (_REPETITIONS + 1)
            trial.reach(process, int(rng.integers(trial.step + 1, most)))
            for number in numbers:
                os.kill(process.pid, number)
                time.sleep(_SECONDS_BETWEEN_SIGNALS)
            process.wait()
            code = process.returncode
            expect(trial, code in (130, -numbers[-1]), f"exit code {code}: {trial.message()}")
            reached, lost = trial.step, trial.step - trial.saved
            began = time.monotonic()
            process = trial.start_and_reach(reached + 1)
            found.append((lost, time.monotonic() - began))
        process.wait()
        yield from (Injection(trial, lost, seconds) for lost, seconds in found)

    return inject


def ignored_interrupt(trial: Trial, rng: np.random.Generator) -> Iterator[Injection]:
    """Started as nohup and scripts start their jobs: Ctrl-C is ignored, SIGTERM is not."""
    process = trial.start_and_reach(20, before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    os.kill(process.pid, signal.SIGINT)
    trial.wait_for(lambda: trial.step >= 40 or process.poll() is not None)
    expect(trial, process.poll() is None, "ended by a signal that it was told to ignore")
    os.kill(process.pid, signal.SIGTERM)
    process.wait()
    reached, lost = trial.step, trial.step - trial.saved
    yield Injection(trial, lost, trial.recover(beyond=reached))
